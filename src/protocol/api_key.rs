use std::fmt;

macro_rules! api_keys {
    ($($key:literal $name:ident $flexible:tt)*) => {
        /// The APIs of Kafka 3.9 by their number in the request header.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        #[allow(missing_docs)] // the names are the documentation
        pub enum ApiKey {
            $($name = $key,)*
        }

        impl ApiKey {
            /// All keys, in order.
            pub const ALL: &'static [ApiKey] = &[$(ApiKey::$name),*];

            /// From the wire's number, if Kafka 3.9 knows it.
            pub fn from_code(key: i16) -> Option<ApiKey> {
                match key {
                    $($key => Some(ApiKey::$name),)*
                    _ => None,
                }
            }

            /// Kafka's name, `Produce`.
            pub fn name(self) -> &'static str {
                match self {$(ApiKey::$name => stringify!($name),)*}
            }

            /// The first version with compact lengths and tagged fields (KIP-482); also of APIs
            /// that the codec lacks, whose headers it reads.
            pub fn flexible_from(self) -> Option<i16> {
                match self {$(ApiKey::$name => api_keys!(flexible $flexible),)*}
            }
        }
    };
    (flexible never) => { None };
    (flexible $version:literal) => { Some($version) };
}

impl ApiKey {
    /// The wire's number.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// Whether a version has compact lengths and tagged fields.
    pub fn is_flexible(self, version: i16) -> bool {
        self.flexible_from().is_some_and(|from| version >= from)
    }

    /// The version of the header before a request: 0 ends with the correlation id (ControlledShutdown v0 only), 1 has a
    /// client id, 2 tagged fields as well.
    pub fn request_header_version(self, version: i16) -> i16 {
        match self {
            ApiKey::ControlledShutdown if version == 0 => 0,
            _ if self.is_flexible(version) => 2,
            _ => 1,
        }
    }

    /// The version of the header before a response: 1 has tagged fields. ApiVersions never has them, so that
    /// any client can read its answer.
    pub fn response_header_version(self, version: i16) -> i16 {
        i16::from(self != ApiKey::ApiVersions && self.is_flexible(version))
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

api_keys! {
    0 Produce 9
    1 Fetch 12
    2 ListOffsets 6
    3 Metadata 9
    4 LeaderAndIsr 4
    5 StopReplica 2
    6 UpdateMetadata 6
    7 ControlledShutdown 3
    8 OffsetCommit 8
    9 OffsetFetch 6
    10 FindCoordinator 3
    11 JoinGroup 6
    12 Heartbeat 4
    13 LeaveGroup 4
    14 SyncGroup 4
    15 DescribeGroups 5
    16 ListGroups 3
    17 SaslHandshake never
    18 ApiVersions 3
    19 CreateTopics 5
    20 DeleteTopics 4
    21 DeleteRecords 2
    22 InitProducerId 2
    23 OffsetForLeaderEpoch 4
    24 AddPartitionsToTxn 3
    25 AddOffsetsToTxn 3
    26 EndTxn 3
    27 WriteTxnMarkers 1
    28 TxnOffsetCommit 3
    29 DescribeAcls 2
    30 CreateAcls 2
    31 DeleteAcls 2
    32 DescribeConfigs 4
    33 AlterConfigs 2
    34 AlterReplicaLogDirs 2
    35 DescribeLogDirs 2
    36 SaslAuthenticate 2
    37 CreatePartitions 2
    38 CreateDelegationToken 2
    39 RenewDelegationToken 2
    40 ExpireDelegationToken 2
    41 DescribeDelegationToken 2
    42 DeleteGroups 2
    43 ElectLeaders 2
    44 IncrementalAlterConfigs 1
    45 AlterPartitionReassignments 0
    46 ListPartitionReassignments 0
    47 OffsetDelete never
    48 DescribeClientQuotas 1
    49 AlterClientQuotas 1
    50 DescribeUserScramCredentials 0
    51 AlterUserScramCredentials 0
    52 Vote 0
    53 BeginQuorumEpoch 1
    54 EndQuorumEpoch 1
    55 DescribeQuorum 0
    56 AlterPartition 0
    57 UpdateFeatures 0
    58 Envelope 0
    59 FetchSnapshot 0
    60 DescribeCluster 0
    61 DescribeProducers 0
    62 BrokerRegistration 0
    63 BrokerHeartbeat 0
    64 UnregisterBroker 0
    65 DescribeTransactions 0
    66 ListTransactions 0
    67 AllocateProducerIds 0
    68 ConsumerGroupHeartbeat 0
    69 ConsumerGroupDescribe 0
    70 ControllerRegistration 0
    71 GetTelemetrySubscriptions 0
    72 PushTelemetry 0
    73 AssignReplicasToDirs 0
    74 ListClientMetricsResources 0
    75 DescribeTopicPartitions 0
    76 ShareGroupHeartbeat 0
    77 ShareGroupDescribe 0
    78 ShareFetch 0
    79 ShareAcknowledge 0
    80 AddRaftVoter 0
    81 RemoveRaftVoter 0
    82 UpdateRaftVoter 0
    83 InitializeShareGroupState 0
    84 ReadShareGroupState 0
    85 WriteShareGroupState 0
    86 DeleteShareGroupState 0
    87 ReadShareGroupStateSummary 0
}
