//! Needless moves, as cycles of negative cost (Bellman and Ford's search).

use crate::shares::Shares;

/// What can change: partitions that go round from member to member, each giving one and getting one; or from one member to
/// another that has one fewer, which closes the cycle through the sink.
pub(crate) struct Cycles {
    /// Disjoint cycles, each as the nodes in their order.
    pub(crate) cycles: Vec<Vec<Node>>,
    /// How many edges were looked at.
    pub(crate) steps: usize,
}

/// A node of the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Node {
    Sink,
    Member(usize),
    Topic(usize),
    Class(usize),
}

struct Edge {
    from: usize,
    to: usize,
    cost: i64,
}

impl Cycles {
    /// Looks for cycles along which fewer partitions are moved, or the loads more even; none within `max_steps` is none.
    pub(crate) fn find(shares: &Shares<'_>, max_steps: usize) -> Cycles {
        let (nodes, edges) = graph(shares);
        let mut cost = vec![0i64; nodes.len()];
        let mut before: Vec<Option<usize>> = vec![None; nodes.len()];
        let mut steps = 0;
        while steps < max_steps {
            let mut cheaper = false;
            steps += edges.len() + nodes.len();
            for edge in &edges {
                if cost[edge.from] + edge.cost < cost[edge.to] {
                    cost[edge.to] = cost[edge.from] + edge.cost;
                    before[edge.to] = Some(edge.from);
                    cheaper = true;
                }
            }
            let cycles = loops(&before);
            if !cheaper || !cycles.is_empty() {
                let named = |cycle: Vec<usize>| cycle.into_iter().map(|node| nodes[node]).collect();
                return Cycles { cycles: cycles.into_iter().map(named).collect(), steps };
            }
        }
        Cycles { cycles: Vec::new(), steps }
    }

    /// Passes the partitions round.
    pub(crate) fn turn(self, shares: &mut Shares<'_>) {
        for cycle in self.cycles {
            for (place, node) in cycle.iter().enumerate() {
                let ahead = |by: usize| cycle[(place + by) % cycle.len()];
                match (*node, ahead(1)) {
                    (Node::Member(member), Node::Topic(topic)) => shares.take(topic, member),
                    (Node::Topic(topic), Node::Member(member)) => shares.give(topic, member),
                    (Node::Topic(topic), Node::Class(_)) => {
                        if let Node::Member(member) = ahead(2) {
                            shares.give(topic, member);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The nodes, and what one partition more on each edge costs: a move counts one, evenness more than all moves of a cycle.
fn graph(shares: &Shares<'_>) -> (Vec<Node>, Vec<Edge>) {
    let (members, topics) = (shares.members.len(), shares.topics.len());
    let mut nodes = vec![Node::Sink];
    nodes.extend((0..members).map(Node::Member));
    nodes.extend((0..topics).map(Node::Topic));
    nodes.extend((0..shares.classes.len()).map(Node::Class));
    let (member_node, topic_node, class_node) =
        (|member| 1 + member, |topic| 1 + members + topic, |class| 1 + members + topics + class);
    // A cycle meets each node once.
    let evenness = nodes.len() as i64 + 1;

    let mut edges = Vec::new();
    for (member, holder) in shares.members.iter().enumerate() {
        let load = holder.load as i64;
        if load > 0 {
            edges.push(Edge { from: 0, to: member_node(member), cost: evenness * (1 - 2 * load) });
        }
        for (topic, held) in holder.held.iter().filter(|(_, held)| held.now > 0) {
            let cost = if held.now > held.before { -1 } else { 0 };
            edges.push(Edge { from: member_node(member), to: topic_node(*topic), cost });
        }
    }
    for (number, topic) in shares.topics.iter().enumerate() {
        edges.extend(topic.classes.iter().map(|class| Edge {
            from: topic_node(number),
            to: class_node(*class),
            cost: 1,
        }));
        edges.extend(topic.losers.iter().map(|member| Edge {
            from: topic_node(number),
            to: member_node(*member),
            cost: 0,
        }));
    }
    for (number, class) in shares.classes.iter().enumerate() {
        edges.extend(class.iter().map(|member| Edge { from: class_node(number), to: member_node(*member), cost: 0 }));
    }
    for (member, holder) in shares.members.iter().enumerate() {
        let load = holder.load as i64;
        edges.push(Edge { from: member_node(member), to: 0, cost: evenness * (1 + 2 * load) });
    }
    (nodes, edges)
}

/// The cycles in which each node has one before it, in forward order.
fn loops(before: &[Option<usize>]) -> Vec<Vec<usize>> {
    // Which walk came by first; 0: none.
    let mut walks = vec![0; before.len()];
    let mut found = Vec::new();
    for start in 0..before.len() {
        let walk = start + 1;
        let mut node = start;
        while walks[node] == 0 {
            walks[node] = walk;
            match before[node] {
                Some(next) => node = next,
                None => break,
            }
        }
        if walks[node] == walk && before[node].is_some() {
            let mut cycle = vec![node];
            let mut at = before[node];
            while let Some(next) = at.filter(|next| *next != node) {
                cycle.push(next);
                at = before[next];
            }
            cycle.reverse();
            found.push(cycle);
        }
    }
    found
}
