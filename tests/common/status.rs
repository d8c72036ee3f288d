//! `sppm status --json`, read.

use super::Proc;
use serde_json::Value;

/// One answer of `status --json`, with the processes that it named while they were fresh.
#[derive(Debug, Clone)]
pub struct Status(pub Value, std::collections::BTreeMap<u32, Proc>);

impl Status {
    /// Looks at once at every process that is named: a moment later a pid may be nobody's.
    pub fn new(value: Value) -> Self {
        let mut status = Self(value, std::collections::BTreeMap::new());
        let mut pids: Vec<u64> = status.instances().filter_map(|instance| instance["pid"].as_u64()).collect();
        pids.extend(["pid", "keeper_pid"].iter().filter_map(|key| status.supervisor(key).as_u64()));
        let pids = pids.into_iter().filter_map(|pid| u32::try_from(pid).ok());
        status.1 = pids.filter_map(|pid| Some((pid, Proc::of(pid)?))).collect();
        status
    }

    pub fn supervisor(&self, key: &str) -> &Value {
        &self.0["supervisor"][key]
    }

    /// The process that decides.
    #[track_caller]
    pub fn supervisor_proc(&self) -> Proc {
        self.process("pid")
    }

    /// The process that owns the programs.
    #[track_caller]
    pub fn keeper_proc(&self) -> Proc {
        self.process("keeper_pid")
    }

    #[track_caller]
    fn process(&self, key: &str) -> Proc {
        let pid =
            self.supervisor(key).as_u64().unwrap_or_else(|| panic!("no supervisor.{key} in {}", self.0));
        let found = self.1.get(&u32::try_from(pid).expect("a pid"));
        found.cloned().unwrap_or_else(|| panic!("supervisor.{key} {pid} was no process in {}", self.0))
    }

    pub fn generation(&self) -> u64 {
        self.supervisor("generation").as_u64().expect("supervisor.generation")
    }

    pub fn config_ok(&self) -> bool {
        self.supervisor("config_ok").as_bool().expect("supervisor.config_ok")
    }

    pub fn config_error(&self) -> String {
        match self.supervisor("config_error") {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        }
    }

    fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
        value[key].as_array().map_or(&[], Vec::as_slice)
    }

    pub fn programs(&self) -> &[Value] {
        Self::list(&self.0, "programs")
    }

    pub fn names(&self) -> Vec<&str> {
        self.programs().iter().filter_map(|program| program["name"].as_str()).collect()
    }

    /// One program, if it is there.
    pub fn find(&self, name: &str) -> Option<&Value> {
        self.programs().iter().find(|program| program["name"] == name)
    }

    /// One program.
    #[track_caller]
    pub fn program(&self, name: &str) -> &Value {
        self.find(name).unwrap_or_else(|| panic!("no program {name} in {:#}", self.0))
    }

    /// Every instance of every program.
    pub fn instances(&self) -> impl Iterator<Item = &Value> {
        self.programs().iter().flat_map(|program| Self::list(program, "instances"))
    }

    /// One instance, if it is there.
    pub fn find_instance(&self, id: &str) -> Option<&Value> {
        self.instances().find(|instance| instance["id"] == id)
    }

    /// One instance.
    #[track_caller]
    pub fn instance(&self, id: &str) -> &Value {
        self.find_instance(id).unwrap_or_else(|| panic!("no instance {id} in {:#}", self.0))
    }

    /// The phase of a program or an instance; empty where there is none of that name.
    pub fn phase(&self, id: &str) -> &str {
        let found = self.find(id).or_else(|| self.find_instance(id));
        found.and_then(|found| found["phase"].as_str()).unwrap_or("")
    }

    /// The pid of an instance's main process.
    pub fn pid(&self, id: &str) -> Option<u32> {
        u32::try_from(self.find_instance(id)?["pid"].as_u64()?).ok()
    }

    /// The main process of an instance.
    #[track_caller]
    pub fn process_of(&self, id: &str) -> Proc {
        let pid = self.pid(id).unwrap_or_else(|| panic!("{id} has no process in {:#}", self.0));
        let found = self.1.get(&pid).cloned();
        found.unwrap_or_else(|| panic!("{id}'s process {pid} was none when it was named"))
    }

    /// Whether an instance's process of then is alive now.
    pub fn process_of_or_gone(&self, id: &str) -> bool {
        self.pid(id).and_then(|pid| self.1.get(&pid)).is_some_and(Proc::alive)
    }

    /// Every instance that runs, with its process: what must stay when nothing concerns it.
    #[track_caller]
    pub fn running(&self) -> std::collections::BTreeMap<String, Proc> {
        let ids = self.instances().filter(|instance| instance["phase"] == "running");
        ids.map(|instance| {
            let id = instance["id"].as_str().expect("an id");
            (id.to_owned(), self.process_of(id))
        })
        .collect()
    }

    /// How many instances run; also where their pids are of another pid namespace.
    pub fn running_count(&self) -> usize {
        self.instances().filter(|instance| instance["phase"] == "running").count()
    }

    pub fn reason(&self, id: &str) -> &str {
        self.find_instance(id).and_then(|instance| instance["reason"].as_str()).unwrap_or("")
    }

    pub fn restarts(&self, id: &str) -> u64 {
        self.find_instance(id).and_then(|instance| instance["restarts"].as_u64()).unwrap_or(0)
    }

    /// Whether every instance runs and none is missing.
    pub fn all_running(&self) -> bool {
        self.programs()
            .iter()
            .all(|program| program["phase"] == "running" && program["ready"] == program["wanted"])
    }
}
