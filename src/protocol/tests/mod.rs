pub(crate) mod fill;
