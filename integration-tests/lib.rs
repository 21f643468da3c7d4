//! Stories: real ZooKeeper, real clients, real processes.
