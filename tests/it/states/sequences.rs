//! Checks random commands, some of them killed, against a small model of what they promise.

use std::hash::{BuildHasher, Hasher};

use serde_json::Value;

use super::*;
use crate::support::strace::{CHANGES, killed_at};

/// A reproducible choice.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Tokenize,
    Run,
    Embed,
    Units,
    Finish,
    Repair,
}

#[derive(Clone, Debug)]
struct Step {
    verb: Verb,
    input: usize,
    overwrite: bool,
    args: Vec<String>,
}

impl Step {
    fn random(dice: &mut Dice) -> Self {
        use Verb::{Embed, Finish, Repair, Run, Tokenize, Units};
        let verbs = [
            Tokenize, Tokenize, Run, Embed, Units, Units, Finish, Finish, Repair,
        ];
        let verb = verbs[usize::try_from(dice.roll(verbs.len() as u64)).unwrap()];
        let input = usize::try_from(dice.roll(2)).unwrap();
        let overwrite = dice.roll(2) == 1;
        let mut more = if overwrite { "--overwrite" } else { "" }.to_owned();
        let name = INPUTS[input];
        let args = match verb {
            Tokenize => tokenize(name, "d", &more),
            Run => run(name, "d", &more),
            Embed => embed(&format!("expected{input}"), "d", &more),
            Units => {
                more = format!("--units {}/2 {more}", dice.roll(2));
                tokenize(name, "d", more.trim_end())
            }
            Finish => words(format!("finish d {more}").trim_end()),
            Repair => tokenize(name, "d", format!("--repair {more}").trim_end()),
        };
        Self {
            verb,
            input,
            overwrite,
            args,
        }
    }
}

/// The finished work in `d.partial`, as far as it can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Work {
    plan: Option<String>,
    receipts: usize,
    /// A complete output that is not in its place.
    whole: Option<Bytes>,
}

impl Work {
    fn of(place: &Place, visible: Option<&Bytes>) -> Self {
        let partial = place.path("d.partial");
        let json = |name: &str| -> Option<Value> {
            serde_json::from_slice(&fs::read(partial.join(name)).ok()?).ok()
        };
        let names = if partial.exists() {
            tree(&partial)
        } else {
            Vec::new()
        };
        let receipt = |name: &&String| {
            let number = name.strip_prefix("shard-");
            number.is_some_and(|rest| rest.strip_suffix(".json").is_some())
        };
        let state = json("state.json").map(|state| state["state"].as_str().unwrap().to_owned());
        let new = partial.join("new");
        let whole =
            (state.as_deref() == Some("complete") && new.exists()).then(|| output_bytes(&new));
        // What the output replaced may be there, too; the model does not check ids.
        let whole = whole.filter(|bytes| Some(bytes) != visible && is_whole(bytes));
        Self {
            plan: json("plan.json").map(|plan| plan["plan_id"].as_str().unwrap().to_owned()),
            receipts: names.iter().filter(receipt).count(),
            whole,
        }
    }

    fn is_none(&self) -> bool {
        self.receipts == 0 && self.whole.is_none()
    }
}

/// Whether all files of `expected` are in `found`.
fn has_all(found: &Bytes, expected: &Bytes) -> bool {
    let mut files = expected.iter();
    files.all(|(name, bytes)| found.get(name) == Some(bytes))
}

fn is_whole(bytes: &Bytes) -> bool {
    bytes.contains_key("manifest.json") || bytes.contains_key("embed.json")
}

/// The model: what each command makes.
struct Model<'a> {
    place: &'a Place,
    /// By input.
    datasets: Vec<Bytes>,
    runs: Vec<Bytes>,
    embeddings: Vec<Bytes>,
    plans: Vec<String>,
}

impl<'a> Model<'a> {
    fn new(place: &'a Place) -> Self {
        let mut model = Self {
            place,
            datasets: Vec::new(),
            runs: Vec::new(),
            embeddings: Vec::new(),
            plans: Vec::new(),
        };
        for (n, input) in INPUTS[..2].iter().enumerate() {
            let out = format!("expected{n}");
            let made = |args: &[String]| {
                ok(place, args);
                visible(place, args[3].as_str()).unwrap()
            };
            model.datasets.push(made(&tokenize(input, &out, "")));
            model.runs.push(made(&run(input, &format!("run{n}"), "")));
            model
                .embeddings
                .push(made(&embed(&out, &format!("embedded{n}"), "")));
            let plan = words(&format!("plan {input} --unit-size 1kB --json"));
            let plan = ok(place, &plan).json();
            model
                .plans
                .push(plan["plan_id"].as_str().unwrap().to_owned());
        }
        model
    }

    /// Whether `found` is what `step` should make.
    fn is_made(&self, step: &Step, found: &Bytes) -> bool {
        let has = |expected: &Bytes| has_all(found, expected);
        match step.verb {
            Verb::Tokenize | Verb::Repair => has(&self.datasets[step.input]),
            Verb::Run => has(&self.runs[step.input]),
            Verb::Embed => has(&self.embeddings[step.input]),
            Verb::Units | Verb::Finish => true,
        }
    }

    /// Runs `step`, killed at the call `kill`, and checks what it left. `None` without strace.
    fn take(&self, step: &Step, kill: Option<(&str, u64)>, what: &str) -> Option<()> {
        let place = self.place;
        let before = snapshot(place, "d");
        let old = visible(place, "d");
        let work = Work::of(place, old.as_ref());
        let args: Vec<_> = step.args.iter().map(String::as_str).collect();
        let done = match kill {
            None => Some(place.run(&args)),
            Some((call, k)) => killed_at(place, call, usize::try_from(k).unwrap(), &args)?.0,
        };
        let new = visible(place, "d");
        assert_bystanders(place);
        let is_old = new == old;
        let is_one_of_ours = new.as_ref().is_some_and(|new| {
            [&self.datasets, &self.runs, &self.embeddings].iter().any(|all| all.contains(new))
                // `run` adds embeddings to an existing dataset.
                || self.runs.iter().any(|run| run == new)
        });
        assert!(
            is_old || is_one_of_ours,
            "{what}: not whole {:?}",
            place.tree()
        );
        if !is_old && done.is_none() {
            let target = new
                .as_ref()
                .is_some_and(|new| self.is_made(step, new) || step.verb == Verb::Run);
            assert!(target, "{what}: of another command");
        }
        let was_dataset = old
            .as_ref()
            .is_some_and(|old| old.contains_key("manifest.json"));
        assert!(
            is_old || !was_dataset || step.verb != Verb::Embed,
            "{what}: embeddings took the place of a dataset"
        );
        self.check_work(step, &work, old.as_ref(), new.as_ref(), what);
        let Some(done) = done else { return Some(()) };
        match done.code {
            Some(0) => {
                let is_made = new.as_ref().is_some_and(|new| self.is_made(step, new));
                assert!(step.verb == Verb::Units || is_made, "{what}: {done:?}");
            }
            // Only what is no longer needed changes.
            Some(1) => {
                assert!(is_old, "{what}: {done:?}");
                assert!(
                    self.may_refuse(step, &work, old.as_ref()),
                    "{what}: {done:?} {before:?}"
                );
            }
            _ => panic!("{what}: {done:?}"),
        }
        Some(())
    }

    /// Checks that finished work disappears only if that is allowed, or if it was published.
    fn check_work(
        &self,
        step: &Step,
        work: &Work,
        old: Option<&Bytes>,
        new: Option<&Bytes>,
        what: &str,
    ) {
        if step.overwrite || work.is_none() || new != old {
            return;
        }
        let left = Work::of(self.place, new);
        if left == *work {
            return;
        }
        let is_its_own = match step.verb {
            Verb::Finish => true,
            _ => work.plan.as_ref() == Some(&self.plans[step.input]),
        };
        // What is left of an output that is in its place is no longer work.
        let is_published = work.whole.is_none() && old.is_some_and(is_whole) && left.is_none();
        assert!(
            is_its_own || is_published,
            "{what}: {work:?} became {left:?}"
        );
    }

    /// Whether a command may exit with 1, because something is there that it must not touch.
    fn may_refuse(&self, step: &Step, work: &Work, old: Option<&Bytes>) -> bool {
        let is_there = old.is_some_and(|old| match step.verb {
            Verb::Units => has_all(old, &self.datasets[step.input]),
            _ => self.is_made(step, old),
        });
        match step.verb {
            // Units may be missing, or nothing may be there at all.
            Verb::Finish => true,
            Verb::Embed if old.is_some_and(|old| old.contains_key("manifest.json")) => true,
            _ if step.overwrite || is_there => false,
            _ => old.is_some() || !work.is_none(),
        }
    }
}

/// Plays `sequences` sequences of commands, and returns how many commands were killed.
fn play(sequences: u64, seed: u64) -> Option<u64> {
    let place = place();
    let model = Model::new(&place);
    let mut kills = 0;
    for sequence in 0..sequences {
        let mut dice = Dice(seed.wrapping_add(sequence << 20));
        restore(&place, "d", &Bytes::new());
        let mut history = Vec::new();
        for _ in 0..3 + dice.roll(4) {
            let step = Step::random(&mut dice);
            let call = CHANGES[usize::try_from(dice.roll(CHANGES.len() as u64)).unwrap()];
            let kill = (dice.roll(3) > 0).then(|| (call, 1 + dice.roll(8)));
            history.push(format!("{} [{kill:?}]", step.args.join(" ")));
            let what = format!("seed {seed} sequence {sequence}: {history:#?}");
            model.take(&step, kill, &what)?;
            kills += u64::from(kill.is_some());
        }
        // Whatever the outcome, `--overwrite` makes it again, and nothing else is left.
        let mut step = Step::random(&mut dice);
        // Only these replace anything that may be there.
        let replaces = |verb| [Verb::Tokenize, Verb::Run, Verb::Repair].contains(&verb);
        while !replaces(step.verb) || !step.overwrite {
            step = Step::random(&mut dice);
        }
        let what = format!("seed {seed} sequence {sequence}: {history:#?} {step:?}");
        model.take(&step, None, &what)?;
        assert!(
            !place.path("d.partial").exists(),
            "{what}: {:?}",
            place.tree()
        );
        assert!(
            !place.path("d/embeddings.partial").exists(),
            "{what}: {:?}",
            place.tree()
        );
    }
    Some(kills)
}

#[test]
fn random_commands_and_kills_lose_nothing() {
    play(20, 1);
}

#[test]
#[ignore = "takes minutes: cargo test states:: -- --ignored"]
fn a_thousand_random_sequences_of_commands_and_kills_lose_nothing() {
    // Different at each run; a failure prints its seed.
    let seed = std::env::var("STATES_SEED")
        .ok()
        .map(|seed| seed.parse().unwrap());
    let seed = seed.unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish());
    let sequences = cuts() as u64;
    if let Some(kills) = play(sequences, seed) {
        eprintln!("seed {seed}: {sequences} sequences, up to {kills} kills");
    }
}
