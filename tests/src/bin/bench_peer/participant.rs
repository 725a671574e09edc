//! `bench-peer participant`: one person whose device stays connected, told by JSON lines what to do.

use crate::entries::{self, now_ns};
use crate::required;
use crate::town::{self, Account, text};
use serde_json::{Value, json};
use stafett_cli::host::fault::Fault;
use stafett_cli::host::live::Live;
use stafett_cli::host::open_home::OpenHome;
use stafett_client_core::client::input::{AccessWord, Command as Wish, NewMeasure, Who, WithdrawTarget};
use std::collections::HashSet;
use std::io::BufRead as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

pub fn run() -> ExitCode {
    let (lines, asked) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut participant = Participant::new().await;
        println!("{}", json!({"id": 0, "ok": "ready"}));
        participant.serve(asked).await;
    });
    ExitCode::SUCCESS
}

/// Where the entries are.
struct Place {
    log: String,
    concern: String,
}

struct Participant {
    /// While connected.
    live: Option<Live>,
    /// While not.
    away: Option<OpenHome>,
    leader: OpenHome,
    guardian: Option<OpenHome>,
    dir: tempfile::TempDir,
    person: String,
    unit: String,
    place: Option<Place>,
    /// Keys of the entries that are visible here.
    seen: HashSet<String>,
    /// Milliseconds from an entry's own time to visible here.
    latencies: Option<Vec<f64>>,
}

type Done = Result<Value, String>;

fn number(arg: &Value, key: &str) -> u64 {
    arg[key].as_u64().unwrap_or(0)
}

fn words(fault: Fault) -> String {
    format!("{}: {}", fault.code, fault.detail)
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

impl Participant {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let Account { me, leader, person, unit } =
            Account::new(&required("DATA_DIR"), dir.path(), &required("NAME_")).await;
        let live = Some(Live::open(me).await.expect("connects"));
        let (seen, place) = (HashSet::new(), None);
        Self { live, away: None, leader, guardian: None, dir, person, unit, place, seen, latencies: None }
    }

    async fn serve(&mut self, mut asked: mpsc::UnboundedReceiver<String>) {
        loop {
            let line = match self.live.as_mut() {
                None => asked.recv().await,
                Some(live) => tokio::select! {
                    line = asked.recv() => line,
                    frame = live.wait() => {
                        self.take(frame.expect("the stream holds")).await;
                        continue;
                    }
                },
            };
            let Some(line) = line else { return };
            let Ok(command) = serde_json::from_str::<Value>(&line) else {
                println!("{}", json!({"id": null, "err": "not JSON"}));
                continue;
            };
            let (id, name) = (&command["id"], command["cmd"].as_str().unwrap_or_default());
            match self.perform(name, &command["arg"]).await {
                Ok(value) => println!("{}", json!({"id": id, "ok": value})),
                Err(why) => println!("{}", json!({"id": id, "err": why})),
            }
            if name == "exit" {
                return;
            }
        }
    }

    async fn perform(&mut self, name: &str, arg: &Value) -> Done {
        match name {
            "whoami" => Ok(json!({"person": self.person, "unit": self.unit})),
            "create" => self.create().await,
            "invite" => self.invite(&arg["who"]).await,
            "join" => self.join(arg).await,
            "paced" => self.paced(number(arg, "from"), number(arg, "n"), number(arg, "interval")).await,
            "burst" => self.burst(number(arg, "from"), number(arg, "n"), number(arg, "every")).await,
            "expect" => self.expect(number(arg, "n")).await.map(|()| json!({"doneAt": now_ns().to_string()})),
            "rec" => {
                let so_far = self.latencies.take().unwrap_or_default();
                self.latencies = arg["on"].as_bool().unwrap_or(true).then(Vec::new);
                Ok(json!(so_far))
            }
            "disconnect" => self.disconnect().await,
            "reconnect" => self.reconnect(number(arg, "n")).await,
            "remove" => self.remove(&arg["who"]).await,
            "usage" => Ok(usage()),
            "exit" => Ok(Value::Null),
            other => Err(format!("no such command: {other}")),
        }
    }

    fn live(&mut self) -> Result<&mut Live, String> {
        self.live.as_mut().ok_or_else(|| "disconnected".to_owned())
    }

    fn concern(&self) -> Result<String, String> {
        self.place.as_ref().map(|p| p.concern.clone()).ok_or_else(|| "no log here: create or join first".to_owned())
    }

    async fn ask(&mut self, wish: Wish) -> Done {
        self.live()?.perform(wish).await.map(|answer| answer.to_json()).map_err(words)
    }

    /// Takes in what came, and notes what it made visible.
    async fn take(&mut self, frame: Vec<u8>) -> bool {
        let Some(live) = self.live.as_mut() else { return true };
        let taken = live.take(vec![frame]).await.expect("is taken in");
        let now = now_ns();
        for news in taken.news.iter().filter(|n| n.section == "measures") {
            let Some(text) = live.entry_text(news) else { continue };
            let Some((written, key)) = entries::read(&text) else { continue };
            if self.seen.insert(key.to_owned())
                && let Some(latencies) = &mut self.latencies
            {
                latencies.push(now.saturating_sub(written) as f64 / 1e6);
            }
        }
        taken.settled
    }

    /// Goes on until nothing of one's own is under way.
    async fn settle(&mut self) -> Result<(), String> {
        loop {
            if self.ask(Wish::SyncCounts).await?["queued"] == 0 {
                return Ok(());
            }
            let frame = self.live()?.wait().await.map_err(words)?;
            self.take(frame).await;
        }
    }

    /// Everything that can be taken in within a moment.
    async fn pause(&mut self, time: Duration) -> Result<(), String> {
        let until = tokio::time::Instant::now() + time;
        while let Ok(frame) = tokio::time::timeout_at(until, self.live()?.wait()).await {
            self.take(frame.map_err(words)?).await;
        }
        Ok(())
    }

    async fn create(&mut self) -> Done {
        self.disconnect().await?;
        let me = self.away.take().ok_or("no session")?;
        let (mut me, dir) = (me, self.dir.path().to_owned());
        let (mut guardian, person) = town::guardian(&dir, &mut me).await;
        let failed = words;
        let new = Wish::LogNew { child: "Ella".into(), born: "2015-03-04".into(), guardians: vec![person], level: 2 };
        let log = text(&me.perform(new).await.map_err(failed)?.to_json(), "log");
        me.sync().await.map_err(failed)?;
        town::consent(&mut guardian).await;
        let measure = NewMeasure { text: "Lekser hver dag".into(), ..NewMeasure::default() };
        let new =
            Wish::ConcernNew { log: log.clone(), title: "Lekser".into(), goal: "Mål".into(), category: None, measure };
        let concern = text(&me.perform(new).await.map_err(failed)?.to_json(), "concern");
        for _ in 0..3 {
            me.sync().await.map_err(failed)?;
            guardian.sync().await.map_err(failed)?;
        }
        self.guardian = Some(guardian);
        self.live = Some(Live::open(me).await.map_err(failed)?);
        let address = json!({"log": log, "concern": concern});
        self.place = Some(Place { log, concern });
        Ok(address)
    }

    /// Asks the family to let another's unit write here, and has the yes.
    async fn invite(&mut self, who: &Value) -> Done {
        let place = self.place.as_ref().ok_or("no log here")?;
        let (log, concern) = (place.log.clone(), place.concern.clone());
        // Units that are new since the stream opened come with a new stream.
        self.disconnect().await?;
        self.reconnect(0).await?;
        let who = Who::Unit(who["unit"].as_str().ok_or("who has no unit")?.to_owned());
        self.ask(Wish::AccessRequest { log, who, scopes: vec![concern], access: AccessWord::Contribute }).await?;
        self.settle().await?;
        town::consent(self.guardian.as_mut().ok_or("not the one who began the log")?).await;
        self.pause(Duration::from_millis(200)).await?;
        Ok(Value::Null)
    }

    async fn join(&mut self, arg: &Value) -> Done {
        let start = Instant::now();
        let (log, concern) = (text(&arg["loc"], "log"), text(&arg["loc"], "concern"));
        if self.place.is_none() {
            let failed = words;
            self.leader.sync().await.map_err(failed)?;
            let assign = Wish::UnitAssign { log: log.clone(), person: self.person.clone(), scopes: vec![] };
            self.leader.perform(assign).await.map_err(failed)?;
            self.leader.sync().await.map_err(failed)?;
            self.place = Some(Place { log, concern: concern.clone() });
            while self.ask(Wish::ConcernShow { concern: concern.clone() }).await.is_err() {
                self.pause(Duration::from_millis(20)).await?;
            }
        }
        self.expect(number(arg, "n")).await?;
        Ok(json!({"ms": ms(start)}))
    }

    fn entry(&self, i: u64) -> Result<Wish, String> {
        let measure =
            NewMeasure { text: entries::text(i), responsible: Some("family".into()), ..NewMeasure::default() };
        Ok(Wish::MeasureAdd { concern: self.concern()?, measure })
    }

    async fn paced(&mut self, from: u64, n: u64, interval: u64) -> Done {
        let mut due = tokio::time::Instant::now();
        for i in from..from + n {
            while let Ok(frame) = tokio::time::timeout_at(due, self.live()?.wait()).await {
                self.take(frame.map_err(words)?).await;
            }
            let entry = self.entry(i)?;
            self.ask(entry).await?;
            self.seen.insert(format!("m{i:07}"));
            due += Duration::from_millis(interval);
        }
        Ok(Value::Null)
    }

    async fn burst(&mut self, from: u64, n: u64, every: u64) -> Done {
        let (t0, start) = (now_ns(), Instant::now());
        let mut next = from;
        while next < from + n {
            let end = (next + every.max(1)).min(from + n);
            let wishes = (next..end).map(|i| self.entry(i)).collect::<Result<Vec<_>, _>>()?;
            for answer in self.live()?.perform_all(wishes).await.map_err(words)? {
                answer.map_err(words)?;
            }
            self.seen.extend((next..end).map(|i| format!("m{i:07}")));
            next = end;
            self.pause(Duration::ZERO).await?;
        }
        let applied = ms(start);
        self.settle().await?;
        Ok(json!({"t0": t0.to_string(), "apply_ms": applied, "flushed_ms": ms(start)}))
    }

    async fn expect(&mut self, n: u64) -> Result<(), String> {
        while (self.seen.len() as u64) < n {
            let frame = self.live()?.wait().await.map_err(words)?;
            self.take(frame).await;
        }
        Ok(())
    }

    async fn disconnect(&mut self) -> Done {
        if let Some(live) = self.live.take() {
            self.away = Some(live.close().await.map_err(words)?);
        }
        Ok(Value::Null)
    }

    async fn reconnect(&mut self, n: u64) -> Done {
        let start = Instant::now();
        let session = self.away.take().ok_or("connected already")?;
        let mut live = Live::open(session).await.map_err(words)?;
        let news = live.take_news();
        for text in news.iter().filter_map(|news| live.entry_text(news)) {
            self.seen.extend(entries::read(&text).map(|(_, key)| key.to_owned()));
        }
        self.live = Some(live);
        self.expect(n).await?;
        Ok(json!({"ms": ms(start)}))
    }

    /// The family withdraws what it gave this unit.
    async fn remove(&mut self, who: &Value) -> Done {
        let start = Instant::now();
        let log = self.place.as_ref().ok_or("no log here")?.log.clone();
        let target = WithdrawTarget::Unit(who["unit"].as_str().ok_or("who has no unit")?.to_owned());
        let guardian = self.guardian.as_mut().ok_or("not the one who began the log")?;
        guardian.perform(Wish::ConsentWithdraw { log, target }).await.map_err(words)?;
        guardian.sync().await.map_err(words)?;
        self.pause(Duration::ZERO).await?;
        Ok(json!({"ms": ms(start)}))
    }
}

fn usage() -> Value {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mb = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    };
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let cpu = used.tv_sec as f64 + used.tv_nsec as f64 / 1e9;
    json!({"cpu_s": cpu, "max_rss_mb": mb("VmHWM:"), "rss_mb": mb("VmRSS:")})
}
