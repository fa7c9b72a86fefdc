//! Other programs that run the same network: ONNX Runtime and tract, in a Python process of their own.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the process is told to do.
const SCRIPT: &str = include_str!("peers.py");

/// A program that runs ONNX files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// ONNX Runtime, on the processor.
    OnnxRuntime,
    /// tract.
    Tract,
}

impl Runtime {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "ONNX Runtime",
            Self::Tract => "tract",
        }
    }
}

/// Why another program cannot be timed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// Python does not start, or ends early.
    #[error("{python}: {source}")]
    Process {
        /// The interpreter.
        python: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The program is not installed, or refuses the file.
    #[error("{runtime}: {reason}", runtime = .runtime.name())]
    Refused {
        /// The program.
        runtime: Runtime,
        /// What it says.
        reason: String,
    },
}

/// A Python process that runs ONNX files.
#[derive(Debug)]
pub struct Peers {
    python: String,
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// A file that a program has loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    id: usize,
    runtime: Runtime,
    /// The program's version.
    pub version: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Request<'a> {
    Load { load: Runtime, file: &'a Path },
    Run { run: usize },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Loaded { loaded: usize, version: String },
    Ran { seconds: f64 },
    Error { error: String },
}

impl Peers {
    /// Starts the interpreter.
    ///
    /// # Errors
    /// [`PeerError::Process`].
    pub fn start(python: &str) -> Result<Self, PeerError> {
        let failed = |source| PeerError::Process {
            python: python.to_owned(),
            source,
        };
        let mut child = Command::new(python)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (requests, answers) = pipes.ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self {
            python: python.to_owned(),
            child,
            requests: Some(requests),
            answers: BufReader::new(answers),
        })
    }

    fn ask(&mut self, request: &Request<'_>) -> Result<Answer, PeerError> {
        let Self {
            requests, answers, ..
        } = self;
        let mut exchange = || {
            let requests = requests.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
            serde_json::to_writer(&mut *requests, request)?;
            writeln!(requests)?;
            requests.flush()?;
            let mut line = String::new();
            if answers.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(serde_json::from_str(&line)?)
        };
        exchange().map_err(|source: io::Error| PeerError::Process {
            python: self.python.clone(),
            source,
        })
    }

    /// Lets a program load an ONNX file, and run it once.
    ///
    /// # Errors
    /// [`PeerError::Refused`] if the program is not there or cannot run the file; [`PeerError::Process`].
    pub fn load(&mut self, runtime: Runtime, file: &Path) -> Result<Loaded, PeerError> {
        match self.ask(&Request::Load {
            load: runtime,
            file,
        })? {
            Answer::Loaded { loaded, version } => Ok(Loaded {
                id: loaded,
                runtime,
                version,
            }),
            answer => Err(Self::unexpected(runtime, answer)),
        }
    }

    /// Runs a loaded file once, and returns how long that took by the process's own clock.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn run(&mut self, loaded: &Loaded) -> Result<Duration, PeerError> {
        match self.ask(&Request::Run { run: loaded.id })? {
            Answer::Ran { seconds } => {
                Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
            }
            answer => Err(Self::unexpected(loaded.runtime, answer)),
        }
    }

    fn unexpected(runtime: Runtime, answer: Answer) -> PeerError {
        let reason = match answer {
            Answer::Error { error } => error,
            _ => "an answer to another question".to_owned(),
        };
        PeerError::Refused { runtime, reason }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        // The script ends with its input; one that hangs in a foreign library is not waited for.
        drop(self.requests.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
