use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub $inner);

        impl $name {
            /// What the wire says when there is none.
            pub const NONE: $name = $name(-1);
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// Raised by the controller with each change of a partition's leader; fences old leaders and their followers.
    LeaderEpoch(i32)
}
number! {
    /// Raised with each election of a controller (`/controller_epoch`); fences old controllers.
    ControllerEpoch(i32)
}
number! {
    /// The czxid of a broker's registration node: tells one life of a broker from the next (KIP-380).
    BrokerEpoch(i64)
}
number! {
    /// The data version of a partition's state node: each ISR or leader write raises it.
    PartitionEpoch(i32)
}
number! {
    /// An idempotent producer, as InitProducerId named it.
    ProducerId(i64)
}
number! {
    /// One life of a producer id; fences the lives before it.
    ProducerEpoch(i16)
}
