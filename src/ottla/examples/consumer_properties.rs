//! Prints `config/consumer.properties`: every key of a classic consumer, its default and what it is for.

fn main() {
    print!("{}", ottla::consumer::sample());
}
