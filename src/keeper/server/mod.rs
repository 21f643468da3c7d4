//! The server: connections on one thread, the tree on another, one queue between them.

mod background;
mod clients;
pub(crate) mod commit_loop;
mod connection;
mod deadline;
mod event;
mod four_letter;
pub(crate) mod listener;
mod outbox;
mod picture;
