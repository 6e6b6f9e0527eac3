//! A folder with a configuration of its own, and with `DOORWARD_TEST_ENGINE=postgres` a PostgreSQL database.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{Finished, Process, Server, cluster, free_port};

/// The admin key of every [`Place::new`].
pub const ADMIN_KEY: &str = "dwk_jF3mXw81LrZtQvN6bYhKcP0sEoUaGi2dVkTnRy4uWxM";
/// The person whom [`Place::populate`] adds.
pub const EMAIL: &str = "ada@example.com";
/// The person's password.
pub const PASSWORD: &str = "a tall ship and a star";
/// The resource that [`Place::populate`] adds.
pub const RESOURCE: &str = "http://localhost:8080/mcp";

/// The master key of every place with a PostgreSQL database.
pub const MASTER_KEY: &str = "q7Xk2mVb9TzR4wLc8NfH3sYd6GjP1aEu0oiQZKBxM5s";

/// Where a server lives.
pub struct Place {
    folder: TempDir,
    /// The database, where it is no file in the folder.
    database: Option<cluster::Database>,
    /// The port of the public listener.
    pub public: u16,
    /// The port of the admin listener.
    pub admin: u16,
    environment: Vec<(String, String)>,
}

impl Place {
    /// With its own ports, an admin key and the database of the engine that is tested, set in the environment.
    pub fn new() -> Self {
        let place = Self::bare().with_database_of_the_tests();
        let (public, admin) = (place.public, place.admin);
        place
            .set("DOORWARD_SERVER_ISSUER", &format!("http://localhost:{public}"))
            .set("DOORWARD_SERVER_ADDRESS", &format!("127.0.0.1:{public}"))
            .set("DOORWARD_ADMIN_ADDRESS", &format!("127.0.0.1:{admin}"))
            .set("DOORWARD_ADMIN_BOOTSTRAP_KEY", ADMIN_KEY)
    }

    /// Without any setting.
    pub fn bare() -> Self {
        let (public, admin) = (free_port(), free_port());
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            database: None,
            public,
            admin,
            environment: Vec::new(),
        };
        place
            .set("DOORWARD_ADMIN_URL", &format!("http://127.0.0.1:{admin}"))
            .set("DOORWARD_ADMIN_KEY", ADMIN_KEY)
    }

    /// Only some tests are for both engines; the others need the files of SQLite.
    fn with_database_of_the_tests(mut self) -> Self {
        if std::env::var("DOORWARD_TEST_ENGINE").as_deref() != Ok("postgres") {
            return self;
        }
        // A runtime of its own: the test's may be the one that waits here.
        let made = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(cluster::empty_database())
        });
        let database = made.join().unwrap();
        let url = database.as_ref().expect("a PostgreSQL server").url();
        self.database = database;
        self.set("DOORWARD_STORAGE_URL", &url)
            .set("DOORWARD_KEYS_MASTER_KEY", MASTER_KEY)
    }

    /// With this variable in the environment.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without this variable in the environment.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(other, _)| other != name);
        self
    }

    /// The folder, which is the program's working directory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The issuer that is set.
    pub fn issuer(&self) -> String {
        let issuer = self
            .environment
            .iter()
            .find(|(name, _)| name == "DOORWARD_SERVER_ISSUER");
        issuer.map_or_else(
            || format!("http://localhost:{}", self.public),
            |(_, value)| value.clone(),
        )
    }

    /// Starts a command.
    pub fn start(&self, arguments: &[&str], input: &str) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
        command.args(arguments);
        self.start_command(command, input)
    }

    /// Starts `doorward serve` with at most so many open files.
    pub fn start_server_with_files(&self, files: u32) -> Process {
        self.start_in_shell(&format!("ulimit -n {files} && exec \"$0\" serve"))
    }

    /// Runs a script that starts the program, which is `$0`.
    pub fn start_in_shell(&self, script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_doorward")]);
        self.start_command(command, "")
    }

    fn start_command(&self, command: Command, input: &str) -> Process {
        self.start_command_with(command, input, None)
    }

    fn start_command_with(
        &self,
        mut command: Command,
        input: &str,
        instead: Option<(&str, &str)>,
    ) -> Process {
        command.current_dir(self.folder()).env_clear();
        // What instruments the program (coverage) finds its way by these.
        command.envs(std::env::vars().filter(|(name, _)| name == "PATH" || name.starts_with("LLVM_")));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.envs(instead);
        Process::start(command, self.folder(), input)
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments, "").finish()
    }

    /// Runs a command with one variable set otherwise.
    pub fn run_with(&self, name: &str, value: &str, arguments: &[&str]) -> Finished {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
        command.args(arguments);
        self.start_command_with(command, "", Some((name, value))).finish()
    }

    /// Runs a command that reads this.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Finished {
        self.start(arguments, input).finish()
    }

    /// Starts the server and waits until it is ready.
    pub async fn serve(&self) -> Server {
        self.serve_with(&["serve"]).await
    }

    /// The same, with arguments.
    pub async fn serve_with(&self, arguments: &[&str]) -> Server {
        Server::ready(self.start(arguments, ""), &self.issuer(), self.public, self.admin).await
    }

    /// Adds the person and the resource to a running server.
    pub fn populate(&self) {
        let scopes = ["--scopes", "tools/read||Read", "--scopes", "tools/write||Write"];
        let mut create = vec!["admin", "resource", "create", "--slug", "demo", "--uri", RESOURCE];
        create.extend(scopes);
        self.run(&create).success();
        let create = ["admin", "user", "create", "--email", EMAIL];
        self.run_with_input(&create, &format!("{PASSWORD}\n")).success();
    }
}
