//! The command line in other forms: completions for shells, and manual pages.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

/// Flags of `completions`.
#[derive(Args, Clone, Copy, Debug)]
pub struct CompletionsArgs {
    /// The shell that will read them.
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Flags of `man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Where to write ingress-agent.1 and a page for each of its commands; made if it is not there.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

impl CompletionsArgs {
    /// Writes the completions.
    pub fn write(self, out: &mut impl Write) -> io::Result<()> {
        // Into memory first: the generator panics where it cannot write.
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "ingress-agent", &mut text);
        out.write_all(&text)
    }
}

impl ManArgs {
    /// Writes the pages.
    pub fn write(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        clap_mangen::generate_to(Cli::command(), &self.folder)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use clap::ValueEnum;

    use super::*;

    fn commands() -> BTreeSet<String> {
        let command = Cli::command();
        command
            .get_subcommands()
            .map(|command| command.get_name().to_owned())
            .collect()
    }

    #[test]
    fn completions_know_every_command() {
        for shell in Shell::value_variants() {
            let mut text = Vec::new();
            CompletionsArgs { shell: *shell }.write(&mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            for command in commands() {
                assert!(text.contains(&command), "{shell}: {command}");
            }
            assert!(text.contains("take-over-ingress-nginx"), "{shell}");
        }
    }

    #[test]
    fn every_command_has_its_page() {
        let folder = tempfile::tempdir().unwrap();
        let args = ManArgs {
            folder: folder.path().join("man1"),
        };
        args.write().unwrap();
        let page = |name: &str| fs::read_to_string(args.folder.join(name)).unwrap();
        for command in commands() {
            assert!(
                page("ingress-agent.1").contains(&format!("ingress\\-agent\\-{command}(1)")),
                "{command}"
            );
            assert!(
                page(&format!("ingress-agent-{command}.1")).contains(".SH OPTIONS"),
                "{command}"
            );
        }
        assert!(page("ingress-agent-run.1").contains("INGRESS_AGENT_STATE_DIR"));
    }
}
