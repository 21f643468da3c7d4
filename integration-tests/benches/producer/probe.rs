//! When a broker itself knows that it leads: no producer can have a success before.
//!
//! A thread asks it again and again for the end of a log, which only a leader answers.

use std::io;
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ottla_protocol::ErrorCode;
use ottla_protocol::schema::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};

use super::change::now_us;
use crate::failure::{During, Failure};
use crate::load::connection::{ask, connect, invalid};

/// How often to ask: an answer takes a fraction of it.
const PAUSE: Duration = Duration::from_millis(1);
const LIMIT: Duration = Duration::from_secs(60);
/// The timestamp that asks for the end of the log.
const LATEST: i64 = -1;

/// A thread that asks one broker about the only partition of some topics.
pub(crate) struct Probe(JoinHandle<io::Result<Vec<i64>>>);

impl Probe {
    /// Begins at once.
    pub(crate) fn start(bootstrap: &str, topics: &[&str]) -> Result<Probe, Failure> {
        let stream = connect(bootstrap).during("connecting to the next leader")?;
        let topics: Vec<String> = topics.iter().map(|topic| topic.to_string()).collect();
        Ok(Probe(std::thread::spawn(move || watch(&stream, &topics))))
    }

    /// Waits until it leads them all; since when each, in µs since 1970.
    pub(crate) fn end(self) -> Result<Vec<i64>, Failure> {
        self.0.join().map_err(|_| Failure::new("the probe panicked"))?.during("asking the next leader")
    }
}

fn watch(stream: &TcpStream, topics: &[String]) -> io::Result<Vec<i64>> {
    let partition = ListOffsetsPartition { partition_index: 0, timestamp: LATEST, ..Default::default() };
    let topic = |name: &String| ListOffsetsTopic { name: name.as_str().into(), partitions: vec![partition.clone()] };
    let request =
        ListOffsetsRequest { replica_id: -1, topics: topics.iter().map(topic).collect(), ..Default::default() };
    let mut since = vec![None; topics.len()];
    let start = Instant::now();
    while since.contains(&None) {
        if start.elapsed() > LIMIT {
            return Err(invalid(format!("it does not lead {topics:?} within {LIMIT:?}")));
        }
        let response = ask(stream, &request, 1)?;
        let now = now_us();
        for answered in &response.topics {
            let leads = answered.partitions.iter().all(|partition| leads(partition.error_code));
            let place = topics.iter().position(|topic| *topic == *answered.name);
            if let Some(since) = place.and_then(|place| since.get_mut(place)).filter(|since| leads && since.is_none()) {
                *since = Some(now);
            }
        }
        std::thread::sleep(PAUSE);
    }
    Ok(since.into_iter().flatten().collect())
}

/// Until its followers are known to have all of the earlier epochs, a leader does not tell the end, but that it leads it does.
fn leads(code: i16) -> bool {
    let not = [ErrorCode::NotLeaderOrFollower, ErrorCode::UnknownTopicOrPartition];
    ErrorCode::from_code(code).is_some_and(|error| !not.contains(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_refuses_as_a_follower_does_not_lead() {
        assert!(leads(0) && leads(ErrorCode::LeaderNotAvailable.code()));
        assert!(!leads(ErrorCode::NotLeaderOrFollower.code()) && !leads(ErrorCode::UnknownTopicOrPartition.code()));
    }
}
