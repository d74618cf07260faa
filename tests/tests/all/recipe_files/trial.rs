//! A plan of the built-in recipe from facts that were really gathered, and its edits on files.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use cavalcade_agent::{
    edit, facts,
    host::{Host, glob::Glob, held::ShimProgram, left_out::LeftOut, real::RealHost},
};
use cavalcade_common::{
    action::{Action, ArtifactRef, CopyFiles, RemoveFiles, TomlEdit},
    id::{Digest, NodeId},
    plan::Plan,
    settings::settings,
};
use cavalcade_controller::{
    fleet, pack, recipe,
    resolve::{Input, NodeFacts, resolve, survey},
};
use cavalcade_tests::standin::packs;
use serde_json::json;
use toml_edit::DocumentMut;

/// Where a home keeps its settings.
pub(super) const CONFIG: &str = "repository/conf/deployment.toml";
const OLD_IS: &str = "wso2is-km-5.10.0";
const OLD_AM: &str = "wso2am-3.1.0";

/// An element of an array that the old pack of the Identity Servers ships.
const SHIPPED_LISTENER: &str = "[[event_listener]]\nid = \"mutual_tls_authenticator\"\n\
    type = \"org.wso2.carbon.identity.core.handler.AbstractIdentityHandler\"\n\
    name = \"org.wso2.carbon.identity.oauth2.token.handler.clientauth.mutualtls.MutualTLSClientAuthenticator\"\n\
    order = \"158\"\nenable = false\n";

/// What stands in the old homes.
#[derive(Debug, Clone, Copy)]
pub(super) struct OldFiles<'a> {
    /// Settings of the old homes, by the name of the home.
    pub(super) settings: &'a [(&'a str, String)],
    /// Settings that the old packs shipped, by the name of the artifact.
    pub(super) shipped: &'a [(&'a str, String)],
    /// Further options of the fleet file.
    pub(super) options: &'a str,
    /// Further nodes of it.
    pub(super) nodes: &'a str,
    /// Further artifacts of it, by name: the file, and which of the stand-ins' it is.
    pub(super) artifacts: &'a [(&'a str, &'a str, &'a str)],
    /// Files of old homes: the home, the path, the text.
    pub(super) files: &'a [(&'a str, &'a str, &'a str)],
}

pub(super) struct Trial {
    _folder: tempfile::TempDir,
    packs: PathBuf,
    pub(super) plan: Plan,
}

impl Trial {
    /// On what the stand-ins' old packs ship.
    pub(super) async fn of_standins() -> Self {
        Self::made("", &[], &[]).await
    }

    /// The same, with these files in the old homes.
    pub(super) async fn with_files(files: &[(&str, &str, &str)]) -> Self {
        Self::made("", files, &[]).await
    }

    /// The same, with further artifacts.
    pub(super) async fn with_artifacts(files: &[(&str, &str, &str)], artifacts: &[(&str, &str, &str)]) -> Self {
        Self::made("", files, artifacts).await
    }

    /// The same, where the old settings hold more, beside the arrays that the old packs shipped.
    pub(super) async fn of_standins_with(more: &str) -> Self {
        Self::made(more, &[], &[]).await
    }

    async fn made(more: &str, files: &[(&str, &str, &str)], artifacts: &[(&str, &str, &str)]) -> Self {
        let database = |name: &str, database: &str| {
            format!(
                "[database.{name}]\ntype = \"mysql\"\nurl = \"jdbc:mysql://db/{database}?a=b&amp;c=d\"\nusername = \"w\"\n\
                 password = \"w\"\ndriver = \"com.mysql.cj.jdbc.Driver\"\n"
            )
        };
        let both = database("apim_db", "am_db") + &database("shared_db", "shared_db");
        let settings = |own: &str| format!("[user_store]\ntype = \"database\"\n{both}{own}{more}");
        let old = [(OLD_IS, settings(SHIPPED_LISTENER)), (OLD_AM, settings("[apim]\n"))];
        Self::new(OldFiles { settings: &old, shipped: &[], options: "", nodes: "", artifacts, files }).await
    }

    pub(super) async fn new(old: OldFiles<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let packs = folder.path().join("artifacts");
        packs::write_all(&packs).unwrap();
        let homes = folder.path().join("homes");
        for (home, pack) in [(OLD_IS, packs::OLD_IS_PACK), (OLD_AM, packs::OLD_AM_PACK)] {
            unpack(&packs.join(pack), &homes.join(home), 1);
        }
        for (home, text) in old.settings {
            fs::write(homes.join(home).join(CONFIG), text).unwrap();
        }
        for (home, path, text) in old.files {
            let file = homes.join(home).join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let mut further = String::from("\nartifacts:\n");
        for (name, file, copy_of) in old.artifacts {
            if file != copy_of {
                fs::copy(packs.join(copy_of), packs.join(file)).unwrap();
            }
            further.push_str(&format!("  {name}: {{ file: artifacts/{file} }}\n"));
        }
        let text = include_str!("../../../../deploy/examples/fleet.yaml").replace("\nartifacts:\n", &further);
        let text = text.replace("\noptions:\n", &format!("\noptions:\n{}", old.options));
        let text = text.replace("\nnodes:\n", &format!("\nnodes:\n{}", old.nodes));
        let text = text.replace("/opt/wso2", homes.to_str().unwrap());
        let fleet = fleet::read(text.as_bytes(), "fleet.yaml").unwrap();
        let recipe = recipe::load(&fleet.recipe, folder.path()).unwrap();
        let artifacts: BTreeMap<String, ArtifactRef> = fleet::pin(&fleet, folder.path()).unwrap();
        let mut shipped: BTreeMap<String, pack::Shipped> =
            [("is_old_pack", packs::OLD_IS_PACK), ("am_old_pack", packs::OLD_AM_PACK)]
                .map(|(name, file)| (name.to_owned(), pack::read(&packs.join(file)).unwrap()))
                .into();
        for (name, text) in old.shipped {
            shipped.get_mut(*name).unwrap().settings = settings(text).unwrap();
        }
        let (facts, asked) = (BTreeMap::new(), BTreeMap::new());
        let now = "2026-11-23T01:00:00Z".parse().unwrap();
        let mut input = Input {
            fleet: &fleet,
            recipe: &recipe,
            facts: &facts,
            asked: &asked,
            shipped: &shipped,
            artifacts: &artifacts,
            plan_id: "p",
            made_by: "test",
            now,
        };
        let asked = survey(&input).unwrap_or_else(|f| panic!("{f}"));
        let host: Arc<dyn Host> = Arc::new(RealHost::with_shim(ShimProgram::default()));
        let mut facts: BTreeMap<NodeId, NodeFacts> = BTreeMap::new();
        for wanted in asked.values() {
            for (node, mut value) in facts::gather(&host, wanted).await {
                // Databases are looked at on servers, in tests of their own.
                value["databases"] = json!({ "shared_db": { "asked": { "tenants": "0" } } });
                facts.insert(node, NodeFacts { value, gathered_at: now });
            }
        }
        (input.facts, input.asked) = (&facts, &asked);
        let plan = resolve(&input).unwrap_or_else(|f| panic!("{f}"));
        Self { _folder: folder, packs, plan }
    }

    /// Does what changes files, for one node; every edit twice, since every edit may be begun again. `unpacked` sees the new
    /// home right behind its pack.
    pub(super) fn run(&self, node: &str, until: &str) {
        self.run_on(node, until, |_| {});
    }

    pub(super) fn run_on(&self, node: &str, until: &str, unpacked: impl Fn(&Path)) {
        self.run_beside(node, until, unpacked, |_| {});
    }

    /// The same; `begun` is told of each stage when its first step of the node begins.
    pub(super) fn run_beside(&self, node: &str, until: &str, unpacked: impl Fn(&Path), begun: impl Fn(&str)) {
        let mut last = 0;
        for (stage, step) in self.plan.steps().filter(|(_, s)| s.key.node.as_str() == node) {
            if stage.number != last {
                begun(stage.id.as_str());
                last = stage.number;
            }
            match &step.action {
                Action::Unpack(u) => {
                    unpack(&self.packs.join(&u.artifact.file), Path::new(&u.to), u.strip);
                    if Path::new(&u.to) == self.home(node) {
                        unpacked(Path::new(&u.to));
                    }
                }
                Action::Artifact(a) => {
                    let bytes = fs::read(self.packs.join(&a.artifact.file)).unwrap();
                    assert_eq!(Digest::of(&bytes), a.artifact.sha256);
                    assert!(Path::new(&a.to).parent().unwrap().is_dir(), "{} has its folder in the pack", a.to);
                    fs::write(&a.to, bytes).unwrap();
                }
                Action::Copy(c) => copy(c),
                Action::Remove(r) => remove(r),
                Action::Toml(e) => {
                    let edit = filled(e);
                    twice(&e.file, |bytes| edit::toml(bytes, &edit).unwrap());
                }
                Action::Yaml(e) => twice(&e.file, |bytes| edit::yaml(bytes, e).unwrap()),
                _ => {}
            }
            if stage.id.as_str() == until && step.action.kind() == "job" {
                return;
            }
        }
    }

    pub(super) fn home(&self, node: &str) -> PathBuf {
        PathBuf::from(&self.plan.node(&NodeId::new(node).unwrap()).unwrap().new.as_ref().unwrap().home)
    }

    pub(super) fn old_home(&self, node: &str) -> PathBuf {
        PathBuf::from(&self.plan.node(&NodeId::new(node).unwrap()).unwrap().old.as_ref().unwrap().home)
    }

    pub(super) fn toml(&self, node: &str) -> DocumentMut {
        fs::read_to_string(self.home(node).join(CONFIG)).unwrap().parse().unwrap()
    }
}

/// The edit with what it takes from another file. Secrets are markers here, of no secret's length.
fn filled(edit: &TomlEdit) -> TomlEdit {
    let edit = TomlEdit { lengths: BTreeMap::new(), ..edit.clone() };
    match &edit.carry {
        Some(carry) => edit::carried(&fs::read(&carry.from).unwrap(), carry, edit.clone()).unwrap(),
        None => edit,
    }
}

/// Unpacks without the archive's root folder where `strip` is 1.
fn unpack(archive: &Path, to: &Path, strip: u32) {
    let beside = tempfile::tempdir().unwrap();
    packs::unpack(archive, beside.path()).unwrap();
    if strip == 0 {
        copy_tree(beside.path(), to, &LeftOut::default());
        return;
    }
    let mut roots = fs::read_dir(beside.path()).unwrap().map(|e| e.unwrap().path());
    let root = roots.next().expect("has a root folder");
    assert!(roots.next().is_none(), "{} has one root folder", archive.display());
    copy_tree(&root, to, &LeftOut::default());
}

fn copy_tree(from: &Path, to: &Path, left_out: &LeftOut) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(from).unwrap();
        if left_out.covers(&path.to_string_lossy()) {
            continue;
        }
        let target = to.join(path);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target).unwrap();
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

fn copy(spec: &CopyFiles) {
    let found = match spec.paths.as_slice() {
        [] => Glob::absolute(&spec.from).unwrap().find().unwrap(),
        paths => paths.iter().map(|path| Path::new(&spec.from).join(path)).collect(),
    };
    assert!(spec.count.is_none_or(|count| count as usize == found.len()) && !found.is_empty(), "{}", spec.from);
    let exclude: Vec<Glob> = spec.exclude.iter().map(|text| Glob::relative(text).unwrap()).collect();
    for from in found {
        let without = spec.without.iter().map(|path| Path::new(&spec.from).join(path));
        let without = without.filter_map(|path| Some(path.strip_prefix(&from).ok()?.to_str()?.to_owned()));
        let left_out = LeftOut::new(exclude.clone(), without.collect());
        let to = Path::new(&spec.into).join(from.file_name().unwrap());
        fs::create_dir_all(&spec.into).unwrap();
        if from.is_dir() { copy_tree(&from, &to, &left_out) } else { fs::copy(&from, &to).map(|_| ()).unwrap() }
    }
}

fn remove(spec: &RemoveFiles) {
    for path in spec.paths.iter().flat_map(|path| Glob::absolute(path).unwrap().find().unwrap()) {
        if path.is_dir() { fs::remove_dir_all(&path).unwrap() } else { fs::remove_file(&path).unwrap() }
    }
}

fn twice(file: &str, edit: impl Fn(&[u8]) -> Vec<u8>) {
    let once = edit(&fs::read(file).unwrap());
    // What the first run removed cannot be found a second time where a count is asked for: only a change is looked at.
    if file.ends_with(".toml") {
        assert!(edit(&once) == once, "{file} changes a second time");
    }
    fs::write(file, once).unwrap();
}
