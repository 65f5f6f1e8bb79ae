//! The main process of a container, from its start on, and what was done in the container since.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cluster::Writer;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::{
    Run, Stdin, Surroundings, environment, files,
    files::Change,
    later, main_process,
    network::{self, Ask, Directory, Network},
    shell::{self, Unknown},
    words,
};
use crate::devices::{NodeDevices, PodClaim};

/// How much of the end of a log counts as last words.
const LINES_MAX: usize = 80;
const WORDS_BYTES_MAX: usize = 2048;

/// Exit code of a command that is not there.
const UNKNOWN: i32 = 127;

/// A process that was started.
pub(crate) struct Process {
    /// When.
    pub(crate) since: Timestamp,
    /// How many seconds of it pass in one second.
    scale: f64,
    start: OnceCell<Start>,
    /// What commands did to files in the container.
    written: Mutex<Vec<(Timestamp, Change)>>,
    /// What it found in the network, and when.
    network: Mutex<Network>,
    /// What it was given on its standard input, and when that ended.
    given: Mutex<Option<(Timestamp, Vec<u8>)>>,
    /// Until when somebody has read its log.
    told: Mutex<Option<Timestamp>>,
}

/// What it found when it started.
struct Start {
    surroundings: Surroundings,
    words: Vec<String>,
}

/// A container of a pod, as others see it that share volumes with it.
pub(crate) type Siblings = BTreeMap<String, (Arc<Value>, Arc<Process>)>;

/// Where a container is, for all that must be asked for.
#[derive(Clone)]
pub(crate) struct Whereabouts {
    pub(crate) writer: Writer,
    pub(crate) devices: Arc<NodeDevices>,
    pub(crate) pod: Arc<Value>,
    pub(crate) claims: Arc<Vec<PodClaim>>,
    pub(crate) container: Arc<Value>,
    pub(crate) siblings: Siblings,
}

impl Whereabouts {
    /// What a process sees that starts now, without what others have done in the container itself.
    async fn surroundings(&self, now: Timestamp) -> Surroundings {
        let mut all = environment::of(&self.writer, &self.devices, &self.pod, &self.claims, &self.container).await;
        self.add_shared(&mut all, now);
        all
    }

    /// Adds what other containers have put into volumes that belong to the pod.
    fn add_shared(&self, all: &mut Surroundings, now: Timestamp) {
        let own_name = self.container["name"].as_str().unwrap_or_default();
        let mut changes = Vec::new();
        for (name, (spec, process)) in &self.siblings {
            let shared = shared_paths(&self.pod, spec, &self.container);
            if name == own_name || shared.is_empty() {
                continue;
            }
            for (at, change) in process.changes(spec, now) {
                let here = shared.iter().find_map(|(theirs, ours)| {
                    let rest = change.path().strip_prefix(theirs.as_str())?;
                    (rest.is_empty() || rest.starts_with('/')).then(|| format!("{ours}{rest}"))
                });
                changes.extend(here.map(|path| (at, change.at(path))));
            }
        }
        changes.sort_by_key(|(at, _)| *at);
        changes.iter().for_each(|(_, change)| all.apply(change));
    }
}

/// Where two containers of a pod see the same scratch directory: the path in the one and in the other.
fn shared_paths(pod: &Value, theirs: &Value, ours: &Value) -> Vec<(String, String)> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let scratch = volumes.filter(|volume| {
        ["emptyDir", "hostPath", "persistentVolumeClaim", "ephemeral"].iter().any(|kind| !volume[*kind].is_null())
    });
    let mut paths = Vec::new();
    for volume in scratch {
        let path = |container: &Value| {
            let mounts = container["volumeMounts"].as_array()?;
            let mount = mounts.iter().find(|mount| mount["name"] == volume["name"])?;
            Some(files::absolute("/", mount["mountPath"].as_str()?))
        };
        paths.extend(path(theirs).zip(path(ours)));
    }
    paths
}

impl Process {
    /// One that starts, or started, at a time.
    pub(crate) fn new(since: Timestamp, scale: f64) -> Self {
        let scale = if scale.is_finite() && scale > 0.0 { scale } else { 1.0 };
        Self {
            since,
            scale,
            start: OnceCell::new(),
            written: Mutex::default(),
            network: Mutex::default(),
            given: Mutex::default(),
            told: Mutex::default(),
        }
    }

    async fn start(&self, at: &Whereabouts) -> &Start {
        let start = async {
            let surroundings = at.surroundings(self.since).await;
            let words = words(&at.container, &surroundings);
            Start { surroundings, words }
        };
        self.start.get_or_init(|| start).await
    }

    /// The words that it runs, and what it sees.
    pub(crate) async fn begin(&self, at: &Whereabouts) -> (&[String], &Surroundings) {
        let start = self.start(at).await;
        (&start.words, &start.surroundings)
    }

    /// What it does, as far as that is known: what it will find in the network shows in its time.
    pub(crate) async fn run(&self, at: &Whereabouts) -> Run {
        let start = self.start(at).await;
        if start.words.is_empty() {
            return Run::default();
        }
        loop {
            let run = start.run(self.since, self.stdin(&at.container), self.network());
            let elapsed = Duration::try_from(Timestamp::now().duration_since(self.since)).unwrap_or_default();
            let elapsed = elapsed.mul_f64(self.scale);
            match &run.asks {
                Some(Ask { host, at: when }) if *when <= elapsed => {
                    let answer = Directory::of(at).find(host).await;
                    let until = elapsed.saturating_add(network::FRESH.mul_f64(self.scale));
                    self.network.lock().unwrap_or_else(PoisonError::into_inner).learn(host, answer, until);
                }
                _ => return run,
            }
        }
    }

    /// What it does when it is known how it goes on; `None` if that is known already.
    pub(crate) async fn go_on(&self, at: &Whereabouts, run: &Run) -> Option<Run> {
        let ask = run.asks.as_ref()?;
        let when = later(self.since, self.scaled(ask.at));
        let rest = Duration::try_from(when.duration_since(Timestamp::now())).unwrap_or_default();
        // Never at once: a clock may stand still.
        tokio::time::sleep(rest.max(Duration::from_millis(1))).await;
        Some(self.run(at).await)
    }

    /// What it can read.
    fn stdin(&self, container: &Value) -> Stdin {
        if container["stdin"] != true {
            return Stdin::default();
        }
        match &*self.given.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((when, input)) => {
                let since = Duration::try_from(when.duration_since(self.since)).unwrap_or_default();
                Stdin::Given(since.mul_f64(self.scale), input.clone())
            }
            None => Stdin::Awaited,
        }
    }

    /// Gives it its whole standard input, now.
    pub(crate) fn give(&self, input: Vec<u8>) {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = Some((Timestamp::now(), input));
    }

    /// Remembers that somebody has read all that it has written until now.
    pub(crate) fn tell(&self, now: Timestamp) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// Until when somebody has read what it writes; the beginning, if nobody did.
    pub(crate) fn told(&self) -> Timestamp {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(Timestamp::MIN)
    }

    fn network(&self) -> Network {
        self.network.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a command does that is run in the container now, with a standard input that has been there for so long. What it finds
    /// in the network stays so.
    pub(crate) async fn run_command(
        &self,
        at: &Whereabouts,
        words: &[String],
        (after, input): (Duration, Vec<u8>),
        now: Timestamp,
    ) -> Run {
        let run = self.foresee(at, words, Stdin::Given(after.mul_f64(self.scale), input), now).await;
        self.record(now, run.changes.clone());
        run
    }

    /// What a command would do, as far as its standard input goes; nothing of it is kept.
    pub(crate) async fn foresee(&self, at: &Whereabouts, words: &[String], stdin: Stdin, now: Timestamp) -> Run {
        let mut all = self.inside(at, now).await;
        loop {
            let run = shell::run(words, stdin.clone(), all.clone(), Unknown::NotFound, now);
            let Some(Ask { host, .. }) = &run.asks else { return run };
            all.network.learn(host, Directory::of(at).find(host).await, Duration::MAX);
        }
    }

    /// Waits until it ends, as far as that is known: its exit code.
    pub(crate) async fn end(&self, at: &Whereabouts) -> Option<i32> {
        let mut run = self.run(at).await;
        while let Some(next) = self.go_on(at, &run).await {
            run = next;
        }
        let (after, code) = run.end?;
        let rest = later(self.since, self.scaled(after)).duration_since(Timestamp::now());
        tokio::time::sleep(Duration::try_from(rest).unwrap_or_default()).await;
        Some(code)
    }

    /// What was done to files in its container until a time.
    fn changes(&self, container: &Value, until: Timestamp) -> Vec<(Timestamp, Change)> {
        let mut all = Vec::new();
        if let Some(start) = self.start.get() {
            let run = start.run(self.since, self.stdin(container), self.network());
            all.extend(run.changes.into_iter().map(|(after, change)| (later(self.since, self.scaled(after)), change)));
        }
        all.extend(self.written.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        all.retain(|(at, _)| *at <= until);
        all.sort_by_key(|(at, _)| *at);
        all
    }

    /// What a command sees that is run in the container now.
    pub(crate) async fn inside(&self, at: &Whereabouts, now: Timestamp) -> Surroundings {
        let mut all = at.surroundings(now).await;
        let start = self.start(at).await;
        all.env.clone_from(&start.surroundings.env);
        all.main = start.words.join(" ");
        self.changes(&at.container, now).iter().for_each(|(_, change)| all.apply(change));
        all
    }

    /// Runs a command in the container, and keeps what it does to files.
    async fn command(&self, at: &Whereabouts, words: &Value) -> Run {
        let words: Vec<String> =
            words.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        self.run_command(at, &words, (Duration::ZERO, Vec::new()), Timestamp::now()).await
    }

    /// Runs what is to run right after the start, or before the end.
    ///
    /// # Errors
    /// In the kubelet's words.
    pub(crate) async fn run_hook(&self, at: &Whereabouts, hook: &str) -> Result<(), String> {
        let hook = &at.container["lifecycle"][hook];
        if let Some(seconds) = hook["sleep"]["seconds"].as_u64() {
            tokio::time::sleep(self.scaled(Duration::from_secs(seconds.min(1 << 31)))).await;
        }
        if !hook["exec"].is_object() {
            // Whom it would ask answers.
            return Ok(());
        }
        let run = self.command(at, &hook["exec"]["command"]).await;
        let Some((after, code)) = run.end else { return std::future::pending().await };
        tokio::time::sleep(self.scaled(after)).await;
        match code {
            0 | UNKNOWN => Ok(()),
            code => Err(format!("command '{}' exited with {code}: {}", words_of(hook), run.text().trim_end())),
        }
    }

    /// Runs a probe. One that asks over the network, or by a command that is not known, finds all well.
    ///
    /// # Errors
    /// What it says.
    pub(crate) async fn probe(&self, at: &Whereabouts, probe: &Value) -> Result<(), String> {
        if !probe["exec"].is_object() {
            return Ok(());
        }
        let run = self.command(at, &probe["exec"]["command"]).await;
        let limit = Duration::from_secs(probe["timeoutSeconds"].as_u64().unwrap_or(1).max(1));
        match run.end {
            Some((after, 0 | UNKNOWN)) if after <= limit => Ok(()),
            Some((after, _)) if after <= limit => Err(run.text()),
            _ => Err(format!("command timed out: {:?} timed out after {}s", words_of(probe), limit.as_secs())),
        }
    }

    /// What it left behind for those who ask why it ended, if that is asked for: of a failure the end of its output.
    pub(crate) fn last_words(&self, container: &Value, run: &Run, code: i32) -> String {
        let path = container["terminationMessagePath"].as_str().unwrap_or("/dev/termination-log");
        let mut all = Surroundings::default();
        run.changes.iter().for_each(|(_, change)| all.apply(change));
        let written = all.read(path).map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
        let text =
            match written.is_empty() && code != 0 && container["terminationMessagePolicy"] == "FallbackToLogsOnError" {
                true => run
                    .text()
                    .lines()
                    .rev()
                    .take(LINES_MAX)
                    .collect::<Vec<_>>()
                    .into_iter()
                    .rev()
                    .collect::<Vec<_>>()
                    .join("\n"),
                false => written,
            };
        let start = (text.len().saturating_sub(WORDS_BYTES_MAX)..=text.len()).find(|at| text.is_char_boundary(*at));
        text[start.unwrap_or(0)..].to_owned()
    }

    /// Remembers what a command did to files.
    pub(crate) fn record(&self, started: Timestamp, changes: Vec<(Duration, Change)>) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let room = files::CHANGES_MAX.saturating_sub(written.len());
        written.extend(changes.into_iter().take(room).map(|(after, change)| (later(started, after), change)));
    }

    /// A time of the container in real time.
    pub(crate) fn scaled(&self, time: Duration) -> Duration {
        time.div_f64(self.scale)
    }
}

/// The words of a command, for messages.
fn words_of(of: &Value) -> String {
    let words = of["exec"]["command"].as_array().into_iter().flatten().filter_map(Value::as_str);
    words.collect::<Vec<_>>().join(" ")
}

impl Start {
    fn run(&self, since: Timestamp, stdin: Stdin, network: Network) -> Run {
        main_process(&self.words, stdin, Surroundings { network, ..self.surroundings.clone() }, since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn containers_share_the_scratch_directories_of_their_pod() {
        let pod = json!({"spec": {"volumes": [{"name": "data", "emptyDir": {}}, {"name": "c", "configMap": {}}]}});
        let mounts = |data: &str| json!({"volumeMounts": [{"name": "data", "mountPath": data}, {"name": "c", "mountPath": "/c"}]});
        assert_eq!(shared_paths(&pod, &mounts("/in/"), &mounts("/out")), [("/in".to_owned(), "/out".to_owned())]);
    }
}
