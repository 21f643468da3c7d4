//! `--describe --watch`: the group again and again. What changed is found by comparing readings; ZooKeeper's watches only say
//! when to read early.

use std::collections::{BTreeMap, VecDeque};
use std::io::{IsTerminal, Write};
use std::time::Duration;

use futures_util::future::{pending, select_all};
use ottla_types::{Offset, TopicPartition};

use super::{describe, existing, unknown};
use crate::cli::group_view::{self, GroupView, Holder, host};
use crate::cli::table::table;
use crate::cli::time::{now_ms, span, time_of_day};
use crate::cli::{ToolError, log_offsets};
use crate::client::Cluster;
use crate::client::admin::LATEST;
use crate::zk::store_consumers::{Member, Plan};
use crate::zk::znodes::{Watcher, Znodes};

/// Between two readings when nothing happens, and while partitions move.
const QUIET: Duration = Duration::from_secs(1);
const MOVING: Duration = Duration::from_millis(300);
/// How long a broker may take to answer: one that hangs must not stop the picture for long.
const BROKER_PATIENCE: Duration = Duration::from_secs(3);
/// Without a plan: how long a change of members may be without consequences before it is known to have none. ms.
const WITHOUT_CONSEQUENCES: i64 = 30_000;
/// Changes that stay on the screen.
const REMEMBERED: usize = 6;
/// The screen when its size is not known: columns and rows.
const USUAL_SCREEN: (usize, usize) = (120, 40);

/// Runs until Ctrl-C, or until the group is gone.
pub(super) async fn run(zk: &dyn Znodes, group: &str, out: &mut dyn Write) -> Result<(), ToolError> {
    tokio::select! {
        outcome = redraw(zk, group, std::io::stdout().is_terminal(), out) => outcome,
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(ToolError::Output),
    }
}

async fn redraw(zk: &dyn Znodes, group: &str, terminal: bool, out: &mut dyn Write) -> Result<(), ToolError> {
    let cluster = log_offsets::cluster(zk, "ottla-consumer-groups", BROKER_PATIENCE).await?;
    let mut picture = Picture::default();
    let mut triggers = Triggers::default();
    let mut shown = false;
    loop {
        // Watches before the reading: what changes behind it is not missed.
        triggers.set(zk, group).await;
        match group_view::read(zk, group).await {
            Ok(Some(view)) => {
                let ends = ends(&cluster, &view, picture.moving(&view), &picture.ends).await;
                let changed = picture.update(view, ends, now_ms());
                match terminal {
                    true => draw(&picture.lines(now_ms()), out)?,
                    false if changed => {
                        picture.lines(now_ms()).iter().try_for_each(|line| writeln!(out, "{line}"))?;
                        writeln!(out)?;
                    }
                    false => {}
                }
                out.flush()?;
                shown = true;
            }
            Ok(None) if shown => return Ok(writeln!(out, "group {group} is gone")?),
            Ok(None) => return Err(unknown(group)),
            Err(error) if !shown => return Err(error),
            // ZooKeeper may be away for a moment.
            Err(error) => eprintln!("{error}"),
        }
        let pause = if picture.moving(&picture.view) { MOVING } else { QUIET };
        let _ = tokio::time::timeout(pause, triggers.fired()).await;
    }
}

/// The ends of the logs; while partitions move the last known ones will do.
async fn ends(
    cluster: &Cluster,
    view: &GroupView,
    moving: bool,
    last: &BTreeMap<TopicPartition, Offset>,
) -> BTreeMap<TopicPartition, Offset> {
    match moving && !last.is_empty() {
        true => last.clone(),
        false => log_offsets::known(log_offsets::offsets(cluster, existing(view), LATEST).await).0,
    }
}

/// Watches on the members and on the plan.
#[derive(Default)]
struct Triggers {
    members: Option<Watcher>,
    plan: Option<Watcher>,
}

impl Triggers {
    async fn set(&mut self, zk: &dyn Znodes, group: &str) {
        let folder = zk_schema::consumers::group_path(group);
        // One that cannot be set is made up for by the next reading.
        if self.members.is_none() {
            self.members = zk.children_and_watch(&format!("{folder}/ids")).await.ok().map(|(_, watcher)| watcher);
        }
        if self.plan.is_none() {
            let path = zk_schema::consumer_plan::path(group);
            self.plan = zk.exists_and_watch(&path).await.ok().map(|(_, watcher)| watcher);
        }
    }

    /// Waits for one of them, which is then to be set anew.
    async fn fired(&mut self) {
        let slots: Vec<&mut Option<Watcher>> =
            [&mut self.members, &mut self.plan].into_iter().filter(|slot| slot.is_some()).collect();
        if slots.is_empty() {
            return pending().await;
        }
        let waits = slots.into_iter().map(|slot| {
            Box::pin(async move {
                if let Some(watcher) = slot {
                    watcher.await;
                }
                *slot = None;
            })
        });
        select_all(waits).await;
    }
}

/// What is on the screen.
#[derive(Default)]
struct Picture {
    view: GroupView,
    ends: BTreeMap<TopicPartition, Offset>,
    /// Whether `view` is a reading.
    begun: bool,
    /// Since when partitions move, as this tool saw it; ms since 1970.
    moving_since: Option<i64>,
    /// Whether an owner node was made or deleted since then.
    touched: bool,
    /// The last rebalance that came to an end.
    rebalance: Option<String>,
    changes: VecDeque<String>,
}

impl Picture {
    /// Old members write no plan: after a change of members they are on the move until their owner nodes change.
    fn moving(&self, view: &GroupView) -> bool {
        let waiting = view.group.plan.is_none() && self.moving_since.is_some() && !self.touched;
        waiting || view.state() == "Rebalancing"
    }

    /// Takes a reading; whether members, plan or owners are others than before.
    fn update(&mut self, view: GroupView, ends: BTreeMap<TopicPartition, Offset>, now_ms: i64) -> bool {
        let mut changes = if self.begun { changes(&self.view, &view) } else { Vec::new() };
        let (old, new) = (&self.view.group, &view.group);
        let joined_or_left = self.begun && !old.members.keys().eq(new.members.keys());
        let generation = |plan: &Option<Plan>| plan.as_ref().map(|plan| plan.content.generation);
        let new_plan = generation(&old.plan) != generation(&new.plan);
        self.touched = old.owners != new.owners || self.touched && self.moving_since.is_some();
        if view.state() == "Rebalancing" || new.plan.is_none() && joined_or_left {
            self.moving_since.get_or_insert(now_ms);
        }
        let began = self.moving_since;
        if !self.moving(&view) && (began.is_some() || new_plan) {
            self.moving_since = None;
            let said = match (&view.group.plan, view.group.rebalance_ms()) {
                (Some(plan), Some(ms)) => Some(format!(
                    "plan {} settled in {}, {} partitions moved",
                    plan.content.generation,
                    describe::seconds(ms),
                    plan.content.moved
                )),
                // Nobody wrote down when it began.
                _ => began.map(|began| format!("settled after about {}", describe::seconds(now_ms - began))),
            };
            if let Some(said) = said.filter(|said| self.rebalance.as_ref() != Some(said)) {
                changes.extend(self.begun.then(|| said.clone()));
                self.rebalance = Some(said);
            }
        }
        self.moving_since = self.moving_since.filter(|began| self.touched || now_ms - began < WITHOUT_CONSEQUENCES);
        let first = !self.begun;
        let changed = first || !changes.is_empty();
        self.changes.extend(changes.into_iter().map(|change| format!("{}  {change}", time_of_day(now_ms))));
        self.changes.drain(..self.changes.len().saturating_sub(REMEMBERED));
        (self.view, self.ends, self.begun) = (view, ends, true);
        changed
    }

    fn lines(&self, now_ms: i64) -> Vec<String> {
        let (view, group) = (&self.view, &self.view.group);
        let lag = |p: &TopicPartition| describe::lag(view.offset(p), self.ends.get(p).copied());
        let partitions = view.partitions();
        let plan = match &group.plan {
            Some(plan) => format!(
                "plan {} ({}) by {}",
                plan.content.generation,
                plan.content.assignor,
                group.planner.as_ref().map_or("nobody now", |planner| &planner.text)
            ),
            None => "no plan".into(),
        };
        let total: i64 = partitions.iter().filter_map(lag).sum();
        let mut lines = vec![
            format!(
                "{}  group {}  {}  {} members  {} of {} partitions owned  lag {total}  {plan}",
                &time_of_day(now_ms)[..8],
                group.name,
                view.state(),
                group.members.len(),
                group.owners.len(),
                partitions.len()
            ),
            format!("last rebalance: {}", self.rebalance.as_deref().unwrap_or("-")),
        ];
        lines.extend(self.changes.iter().cloned());
        lines.push(String::new());
        let member = |(id, member): (&String, &Member)| {
            let owned = || partitions.iter().filter(|p| view.holder(p) == Holder::Member(id));
            let lag: i64 = owned().filter_map(lag).sum();
            let age = span(now_ms - member.since_ms);
            let at = host(&group.name, id).unwrap_or_default();
            [id.clone(), at.into(), age, owned().count().to_string(), lag.to_string()]
        };
        let members: Vec<_> = group.members.iter().map(member).collect();
        lines.extend(table(["MEMBER", "HOST", "SESSION-AGE", "#PARTITIONS", "LAG"], &members));
        lines.push(String::new());
        let row = |p: &TopicPartition| {
            let owner = match view.holder(p) {
                Holder::Nobody => String::new(),
                Holder::Member(_) => group.owners.get(p).map(|owner| owner.text.clone()).unwrap_or_default(),
                Holder::Orphan(owner) => format!("{} (no member)", owner.text),
            };
            let number = |number: Option<i64>| number.map_or(String::new(), |number| number.to_string());
            let end = self.ends.get(p).copied();
            [p.topic.to_string(), p.partition.to_string(), number(view.offset(p)), number(end), number(lag(p)), owner]
        };
        let rows: Vec<_> = partitions.iter().map(row).collect();
        lines.extend(table(["TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "OWNER"], &rows));
        lines
    }
}

/// What is different, for people: members, plan, owners.
fn changes(before: &GroupView, after: &GroupView) -> Vec<String> {
    let mut changes = Vec::new();
    let missing = |here: &GroupView, there: &GroupView, what: &str| -> Vec<String> {
        let ids = here.group.members.keys().filter(|id| !there.group.members.contains_key(*id));
        ids.map(|id| format!("{id} {what}")).collect()
    };
    changes.extend(missing(after, before, "joined"));
    changes.extend(missing(before, after, "left"));
    let old_plan = before.group.plan.as_ref().map(|plan| plan.content.generation);
    if let Some(plan) = after.group.plan.as_ref().filter(|plan| Some(plan.content.generation) != old_plan) {
        let plan = &plan.content;
        let (generation, assignor, total) = (plan.generation, &plan.assignor, plan.streams.len());
        changes.push(format!("plan {generation} ({assignor}): {} of {total} partitions move", plan.moved));
    }
    let mut taken: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let owner = |view: &GroupView, p: &TopicPartition| {
        view.group.owners.get(p).map_or("nobody".to_owned(), |owner| owner.consumer_id().to_owned())
    };
    let moves: Vec<(String, String)> = before
        .partitions()
        .union(&after.partitions())
        .map(|p| (owner(before, p), owner(after, p)))
        .filter(|(from, to)| from != to)
        .collect();
    for (from, to) in &moves {
        *taken.entry((from, to)).or_default() += 1;
    }
    changes.extend(taken.into_iter().map(|((from, to), count)| format!("{count} partitions from {from} to {to}")));
    changes
}

/// Home, the lines that there is room for, and nothing behind them.
fn draw(lines: &[String], out: &mut dyn Write) -> std::io::Result<()> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok().filter(|size| size.ws_row > 0);
    let (columns, rows) = size.map_or(USUAL_SCREEN, |size| (size.ws_col.into(), size.ws_row.into()));
    out.write_all(screen(lines, columns, rows).as_bytes())
}

fn screen(lines: &[String], columns: usize, rows: usize) -> String {
    // The cursor needs the last row.
    let room = rows.saturating_sub(1).max(1);
    let hidden = lines.len().saturating_sub(room);
    let shown = if hidden > 0 { room - 1 } else { lines.len() };
    let more = (hidden > 0).then(|| format!("({} more lines; without a terminal all are printed)", hidden + 1));
    let mut text = String::from("\x1b[H");
    for line in lines.iter().take(shown).chain(&more) {
        text.extend(line.chars().take(columns));
        text += "\x1b[K\r\n";
    }
    text + "\x1b[J"
}

#[cfg(test)]
mod tests {
    use zk_schema::ConsumerPlan;

    use super::*;
    use crate::zk::fake::{FakeEnsemble, FakeZnodes};
    use crate::zk::store_consumers::tests::{hold, partition, put, put_topic, wants};

    async fn plan(zk: &FakeZnodes, generation: i32, moved: i32, streams: &[(i32, &str)]) {
        let streams = streams.iter().map(|(index, thread)| (partition("t", *index), (*thread).to_owned())).collect();
        let (assignor, planner) = ("sticky".into(), "h:1".into());
        let plan = ConsumerPlan { generation, assignor, planner, timestamp_ms: 0, moved, streams }.encode();
        match zk.exists("/consumers/g/plan").await.unwrap() {
            Some(_) => drop(zk.set("/consumers/g/plan", &plan, None).await.unwrap()),
            None => put(zk, "/consumers/g/plan", &String::from_utf8(plan).unwrap()).await,
        }
    }

    #[tokio::test]
    async fn a_rebalance_is_told_from_the_first_change_to_the_last_claim() {
        const NOW: i64 = 1_700_000_000_000;
        let ensemble = FakeEnsemble::default();
        let (a, b) = (ensemble.connect(), ensemble.connect());
        put_topic(&a, "t", 2).await;
        hold(&a, "/consumers/g/ids/h:1", &wants("t", 1, Some("sticky"))).await;
        hold(&a, "/consumers/g/planner", "h:1").await;
        plan(&a, 1, 0, &[(0, "h:1-0"), (1, "h:1-0")]).await;
        hold(&a, "/consumers/g/owners/t/0", "h:1-0").await;
        hold(&a, "/consumers/g/owners/t/1", "h:1-0").await;
        put(&a, "/consumers/g/offsets/t/0", "5").await;
        let ends = || BTreeMap::from([(partition("t", 0), 7)]);
        let view = async || group_view::read(&a, "g").await.unwrap().unwrap();

        let mut picture = Picture::default();
        assert!(picture.update(view().await, ends(), NOW), "the first reading is shown");
        assert!(!picture.update(view().await, ends(), NOW), "nothing changed");
        hold(&b, "/consumers/g/ids/h:2", &wants("t", 1, Some("sticky"))).await;
        ensemble.advance(1000);
        plan(&a, 2, 1, &[(0, "h:1-0"), (1, "h:2-0")]).await;
        assert!(picture.update(view().await, ends(), NOW + 1000));
        a.delete("/consumers/g/owners/t/1", None).await.unwrap();
        assert!(picture.update(view().await, ends(), NOW + 1100));
        ensemble.advance(250);
        hold(&b, "/consumers/g/owners/t/1", "h:2-0").await;
        assert!(picture.update(view().await, ends(), NOW + 1250));
        assert!(!picture.update(view().await, ends(), NOW + 1300), "settled");
        assert_eq!(
            picture.lines(NOW + 2000).join("\n"),
            "\
22:13:22  group g  Stable  2 members  2 of 2 partitions owned  lag 2  plan 2 (sticky) by h:1
last rebalance: plan 2 settled in 250 ms, 1 partitions moved
22:13:21.000  h:2 joined
22:13:21.000  plan 2 (sticky): 1 of 2 partitions move
22:13:21.100  1 partitions from h:1 to nobody
22:13:21.250  1 partitions from nobody to h:2
22:13:21.250  plan 2 settled in 250 ms, 1 partitions moved

MEMBER  HOST  SESSION-AGE  #PARTITIONS  LAG
h:1     h     2 s          1            2
h:2     h     2 s          1            0

TOPIC  PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  OWNER
t      0          5               7               2    h:1-0
t      1          -               -               -    h:2-0"
        );
    }

    #[tokio::test]
    async fn a_rebalance_without_a_plan_is_timed_by_what_was_seen() {
        let ensemble = FakeEnsemble::default();
        let zk = ensemble.connect();
        put_topic(&zk, "t", 1).await;
        hold(&zk, "/consumers/g/ids/old", &wants("t", 1, None)).await;
        let view = async || group_view::read(&zk, "g").await.unwrap().unwrap();
        let mut picture = Picture::default();
        picture.update(view().await, BTreeMap::new(), 1000);
        hold(&zk, "/consumers/g/owners/t/0", "old-0").await;
        picture.update(view().await, BTreeMap::new(), 2300);
        assert_eq!(picture.rebalance.as_deref(), Some("settled after about 1.30 s"));
        // One joins, nothing is free for it, yet all old members claim anew.
        hold(&zk, "/consumers/g/ids/older", &wants("t", 1, None)).await;
        picture.update(view().await, BTreeMap::new(), 3000);
        assert!(picture.moving(&picture.view));
        zk.delete("/consumers/g/owners/t/0", None).await.unwrap();
        ensemble.advance(1);
        hold(&zk, "/consumers/g/owners/t/0", "old-0").await;
        picture.update(view().await, BTreeMap::new(), 3500);
        assert_eq!(picture.rebalance.as_deref(), Some("settled after about 500 ms"));
        // One that nobody minds.
        hold(&zk, "/consumers/g/ids/py:1", "t").await;
        picture.update(view().await, BTreeMap::new(), 4000);
        picture.update(view().await, BTreeMap::new(), 40_000);
        assert!(!picture.moving(&picture.view));
        assert_eq!(picture.rebalance.as_deref(), Some("settled after about 500 ms"));
    }

    #[tokio::test]
    async fn a_watch_on_members_and_plan_cuts_the_pause_short() {
        let ensemble = FakeEnsemble::default();
        let zk = ensemble.connect();
        hold(&zk, "/consumers/g/ids/a", "").await;
        let mut triggers = Triggers::default();
        for change in ["/consumers/g/ids/b", "/consumers/g/plan", "/consumers/g/ids/c"] {
            triggers.set(&zk, "g").await;
            hold(&zk, change, "").await;
            triggers.fired().await;
        }
    }

    #[test]
    fn a_screen_shows_what_it_has_room_for() {
        let lines = ["abcdef", "b", "c", "d"].map(str::to_owned);
        assert_eq!(screen(&lines[..2], 3, 3), "\x1b[Habc\x1b[K\r\nb\x1b[K\r\n\x1b[J");
        let cut = screen(&lines, 80, 4);
        assert_eq!(
            cut,
            "\x1b[Habcdef\x1b[K\r\nb\x1b[K\r\n(2 more lines; without a terminal all are printed)\x1b[K\r\n\x1b[J"
        );
    }
}
