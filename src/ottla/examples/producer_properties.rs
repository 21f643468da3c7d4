//! Prints `config/producer.properties`: every key of a producer, its default and what it is for.

fn main() {
    print!("{}", ottla::producer::sample());
}
