//! Other people's clients, each as one call: kcat, Kafka's console tools of several releases, its admin tools.

use std::path::Path;
use std::process::Command;

use crate::broker::binary;
use crate::process::{Output, run};
use crate::zookeeper::peers;

/// kcat with these arguments and this input.
pub fn kcat(bootstrap: &str, args: &[&str], input: &str) -> Output {
    run(Command::new("kcat").args(["-b", bootstrap]).args(args), input.as_bytes())
}

/// One of the broker's own tools.
pub fn ottla(args: &[&str], input: &str) -> Output {
    run(Command::new(binary()).args(args), input.as_bytes())
}

/// A Java tool of a Kafka release.
pub fn tool(version: &str, class: &str, args: &[&str], input: &str) -> Output {
    run(peers().args(["run", version, class]).args(args), input.as_bytes())
}

/// `kafka-topics.sh` of 3.9.1.
pub fn topics(bootstrap: &str, args: &[&str]) -> Output {
    let mut all = vec!["--bootstrap-server", bootstrap];
    all.extend(args);
    tool("3.9.1", "org.apache.kafka.tools.TopicCommand", &all, "")
}

/// `kafka-topics.sh --zookeeper` of 2.8.2, which writes znodes itself.
pub fn topics_by_zookeeper(zookeeper: &str, args: &[&str]) -> Output {
    let mut all = vec!["--zookeeper", zookeeper];
    all.extend(args);
    tool("2.8.2", "kafka.admin.TopicCommand", &all, "")
}

/// A file in `folder` with this text; its path as text.
pub fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().into()
}
