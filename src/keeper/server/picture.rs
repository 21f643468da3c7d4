//! The server as four-letter commands show it.

use std::{collections::BTreeSet, time::Instant};

use crate::server::{commit_loop::CommitLoop, four_letter::ServerPicture};

impl CommitLoop {
    pub(super) fn picture(&self) -> ServerPicture {
        let now = self.ms(Instant::now());
        let (mut watching, mut watched_paths) = (BTreeSet::new(), 0);
        for (_, sessions) in self.tree.data_watches() {
            watching.extend(sessions);
            watched_paths += 1;
        }
        let sessions = self
            .tracker
            .buckets()
            .flat_map(|(deadline, sessions)| sessions.iter().map(move |id| (*id, deadline - now)));
        let ephemerals =
            self.tree.ephemerals().map(|(id, paths)| (id, paths.iter().map(ToString::to_string).collect()));
        ServerPicture {
            latency: self.latency,
            received: self.received,
            sent: self.sent,
            connections: self.clients.pictures(),
            zxid: self.tree.zxid(),
            node_count: self.tree.node_count(),
            watch_count: self.tree.watch_count(),
            watching_connections: watching.len(),
            watched_paths,
            data_size: self.tree.approximate_data_size(),
            sessions: sessions.collect(),
            ephemerals: ephemerals.collect(),
            uptime_ms: Instant::now().saturating_duration_since(self.started).as_millis() as u64,
            fsync: self.fsync,
            configuration: self.configuration(),
        }
    }

    fn configuration(&self) -> Vec<(&'static str, String)> {
        let settings = &self.settings;
        vec![
            ("clientPort", settings.listen.port().to_string()),
            ("dataDir", settings.data_dir.join("version-2").display().to_string()),
            ("dataLogDir", settings.data_log_dir.join("version-2").display().to_string()),
            ("tickTime", settings.tick_time_ms.to_string()),
            ("maxClientCnxns", settings.max_client_connections.to_string()),
            ("minSessionTimeout", settings.session_timeout_ms.start().to_string()),
            ("maxSessionTimeout", settings.session_timeout_ms.end().to_string()),
            ("snapCount", settings.snap_count.to_string()),
            ("serverId", "0".to_owned()),
        ]
    }
}
