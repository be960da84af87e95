//! `cargo xtask build-ebpf`: the eBPF object, and what is in it.

use anyhow::{Context, Result};
use xtask::recipe::{self, Object, Tools};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Also builds the object with log lines at every verdict.
    #[arg(long)]
    debug: bool,
}

#[expect(clippy::print_stdout, reason = "this command prints what it found and made")]
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let tools = Tools::find_or_install(&mut |line| eprintln!("{line}"))?;
    println!("toolchain  {}", tools.toolchain.description);
    for passed_over in &tools.passed_over {
        println!("           not {passed_over}");
    }
    println!(
        "linker     {} {}",
        tools.linker.path.display(),
        tools.linker.version
    );

    let mut objects = vec![Object::Plain];
    if arguments.debug {
        objects.push(Object::Log);
    }
    for object in objects {
        let path = recipe::build(
            &tools,
            object,
            super::root()?,
            &super::target_dir()?,
            std::env::consts::ARCH,
        )?;
        let size = path
            .metadata()
            .with_context(|| format!("cannot read {}", path.display()))?
            .len();
        println!("object     {} ({size} bytes)", path.display());
    }
    Ok(())
}
