//! `cargo xtask build-ebpf`: the eBPF object, and what is in it.

use std::path::Path;

use anyhow::{Context, Result};
use aya_obj::{Map, ProgramSection, generated::bpf_map_type};
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
    let (root, target_dir) = (super::root()?, super::target_dir()?);
    for object in objects {
        let path = recipe::build(&tools, object, root, &target_dir, std::env::consts::ARCH)?;
        println!();
        describe(&path)?;
    }
    Ok(())
}

/// Prints an object's programs and maps.
#[expect(clippy::print_stdout, reason = "this command prints what it found and made")]
fn describe(path: &Path) -> Result<()> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let object =
        aya_obj::Object::parse(&bytes).with_context(|| format!("cannot parse {}", path.display()))?;
    println!("object     {}", path.display());
    println!(
        "           {} bytes, BTF {}",
        bytes.len(),
        if object.btf.is_some() {
            "present"
        } else {
            "MISSING"
        }
    );

    println!("{:<16} {:<10} {:>12}", "program", "section", "instructions");
    let mut programs: Vec<_> = object.programs.iter().collect();
    programs.sort_by_key(|(name, _)| *name);
    for (name, program) in programs {
        let function = object.functions.get(&program.function_key());
        let function = function.with_context(|| format!("program {name} has no function"))?;
        println!(
            "{name:<16} {:<10} {:>12}",
            section(&program.section),
            function.instructions.len()
        );
    }

    println!(
        "{:<16} {:<14} {:>5} {:>7} {:>8}",
        "map", "type", "key", "value", "entries"
    );
    let mut maps: Vec<_> = object.maps.iter().collect();
    maps.sort_by_key(|(name, _)| *name);
    for (name, map) in maps {
        print_map(name, map)?;
        if let Some(inner) = map.inner() {
            print_map("  each holds", &inner)?;
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this command prints what it found and made")]
fn print_map(name: &str, map: &Map) -> Result<()> {
    let kind = bpf_map_type::try_from(map.map_type())
        .ok()
        .with_context(|| format!("map {name} has no type"))?;
    let kind = format!("{kind:?}")
        .trim_start_matches("BPF_MAP_TYPE_")
        .to_lowercase();
    println!(
        "{name:<16} {kind:<14} {:>5} {:>7} {:>8}",
        map.key_size(),
        map.value_size(),
        map.max_entries()
    );
    Ok(())
}

/// The name of an ELF section.
fn section(section: &ProgramSection) -> String {
    if let ProgramSection::Xdp { frags, .. } = section {
        if *frags { "xdp.frags" } else { "xdp" }.to_owned()
    } else if matches!(section, ProgramSection::SkLookup) {
        "sk_lookup".to_owned()
    } else {
        format!("{section:?}")
    }
}
