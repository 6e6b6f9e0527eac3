//! Processes that end with the test.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;

use super::{PATIENCE, POLL, eventually, http};

/// A running program whose output goes to files; killed when dropped.
pub struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    /// Starts the command; `folder` takes its output, `input` is all that it can read.
    pub fn start(mut command: Command, folder: &Path, input: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let [stdout, stderr] = ["out", "err"].map(|kind| folder.join(format!("{number}.{kind}")));
        command
            .stdin(Stdio::piped())
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap());
        let mut child = command.spawn().unwrap();
        // A program that does not read its input may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// Asks it to stop, as service managers do.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &script])
                .status()
                .unwrap()
                .success()
        );
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its status, if it has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Finished {
        let polls = PATIENCE.as_millis() / POLL.as_millis();
        let ended = (0..polls).find_map(|_| {
            let status = self.try_wait();
            if status.is_none() {
                sleep(POLL);
            }
            status
        });
        let Some(status) = ended else {
            panic!("the program did not end:\n{}{}", self.stdout(), self.stderr());
        };
        Finished {
            code: status.code(),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Finished {
    /// Standard output of a program that succeeded without a complaint.
    #[track_caller]
    pub fn success(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self.stdout
    }

    /// The same as JSON.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        let text = self.success();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The complaint of a program that refused: exit code 1, nothing on standard output.
    #[track_caller]
    pub fn failure(self) -> String {
        self.failure_with(1)
    }

    /// The same with another exit code.
    #[track_caller]
    pub fn failure_with(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:?}");
        let sentence = self.stderr.strip_prefix("error: ");
        sentence
            .unwrap_or_else(|| panic!("{self:?}"))
            .trim_end()
            .to_owned()
    }

    /// The complaint of `doorward admin --json`, which is all that was said.
    #[track_caller]
    pub fn json_failure_with(self, code: i32) -> serde_json::Value {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stderr).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The complaint, which is one line.
    #[track_caller]
    pub fn one_line_failure(self) -> String {
        self.one_line_failure_with(1)
    }

    /// The same with another exit code.
    #[track_caller]
    pub fn one_line_failure_with(self, code: i32) -> String {
        let complaint = self.failure_with(code);
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        complaint
    }
}

/// A server that answers.
pub struct Server {
    pub process: Process,
    /// The issuer.
    pub issuer: String,
    /// The public listener, without the issuer's path.
    pub public_url: String,
    /// The admin listener.
    pub admin_url: String,
}

impl Server {
    /// Waits until the server is ready.
    pub async fn ready(mut process: Process, issuer: &str, public: u16, admin: u16) -> Self {
        let public_url = format!("http://127.0.0.1:{public}");
        let (http, url) = (http(), format!("{public_url}/readyz"));
        eventually("the server is ready", || {
            if let Some(status) = process.try_wait() {
                panic!("the server ended with {status}: {}", process.stderr());
            }
            let request = http.get(&url).send();
            async move {
                request
                    .await
                    .ok()
                    .filter(|response| response.status().is_success())
            }
        })
        .await;
        Self {
            process,
            issuer: issuer.to_owned(),
            public_url,
            admin_url: format!("http://127.0.0.1:{admin}"),
        }
    }

    /// Asks the server to stop and waits until it has.
    #[track_caller]
    pub fn stop(self) -> Finished {
        self.process.terminate();
        self.process.finish()
    }
}
