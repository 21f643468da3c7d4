//! The entries of DescribeConfigs: value, where it comes from, what would hold without it.
