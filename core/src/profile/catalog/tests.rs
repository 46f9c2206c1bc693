use super::*;
use crate::profile::OptionValue;

fn version(text: &str) -> Option<Version> {
    Version::parse(text)
}

fn shipped_files() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
    let files = std::fs::read_dir(folder).expect("the folder is there").filter_map(Result::ok);
    files.filter_map(|file| file.file_name().into_string().ok()).collect()
}

/// Files of that folder that are no profiles.
const OTHERS: [&str; 4] = ["guards.yaml", "lints.yaml", "vocabulary.yaml", "writers.yaml"];

#[test]
fn every_shipped_profile_is_right_and_has_the_name_it_is_found_by() {
    for entry in &Catalog::shipped().entries {
        let draft = parse(entry.text).unwrap_or_else(|problems| panic!("{}: {problems:#?}", entry.name));
        assert_eq!(draft.profile.name, entry.name);
        let profile = &draft.profile;
        let label = Version::parse(&profile.version);
        assert!(label.is_none_or(|version| profile.versions.contains(version)), "{}", profile.label());
    }
}

#[test]
fn every_profile_file_ships() {
    let profiles = shipped_files().into_iter().filter(|name| name.ends_with(".yaml") && !OTHERS.contains(&&**name));
    assert_eq!(profiles.count(), SHIPPED.len());
}

#[test]
fn what_shipped_profiles_extend_compose_and_point_to_is_there() {
    let catalog = Catalog::shipped();
    for draft in catalog.entries.iter().map(Entry::draft) {
        let profile = &draft.profile;
        let base = draft.extends.as_deref().map(|word| catalog.base(word).expect("it extends a profile"));
        for id in &draft.without {
            assert!(base.as_ref().is_some_and(|base| base.rows.iter().any(|row| *row.id == **id)), "{id}");
        }
        let names = profile.compose.iter().map(|part| &part.profile);
        for name in names.chain(&profile.see).chain(&profile.compare) {
            assert!(catalog.kind(name).is_some(), "{} names {name}", profile.label());
        }
        assert!(!catalog.is_circular(draft));
    }
}

#[test]
fn only_what_a_cluster_can_be_is_offered_as_its_profile() {
    let catalog = Catalog::shipped();
    let names = catalog.names();
    assert!(catalog.all_names().is_sorted());
    assert!(names.contains(&"downstream-node-pools") && names.contains(&"openstack-driver"));
    assert!(!names.contains(&"cni-calico") && !names.contains(&"common-ports") && !names.contains(&"rke2-windows"));
    assert_eq!(
        catalog.find("cni-calico", None).map(|p| p.label()),
        Err(PickError::NotForClusters { name: "cni-calico".to_owned(), kind: ProfileKind::CniAddon })
    );
}

#[test]
fn a_version_picks_the_profile_whose_range_holds_it() {
    let catalog = Catalog::shipped();
    let label = |text: &str| catalog.find("rancher-server-k3s", version(text)).map(|p| p.label());
    assert_eq!(label("2.4.3"), Ok("rancher-server-k3s@2.4".to_owned()));
    assert_eq!(label("2.5"), Ok("rancher-server-k3s@2.4".to_owned()));
    assert_eq!(label("2.6"), Ok("rancher-server-k3s@2.6".to_owned()));
    assert_eq!(label("2.13"), Ok("rancher-server-k3s@2.6".to_owned()));
    assert_eq!(catalog.find("rancher-server-k3s", None).map(|p| p.label()), Ok("rancher-server-k3s@2.6".to_owned()));
}

#[test]
fn rancher_s_version_picks_nothing_of_another_product_s() {
    let catalog = Catalog::shipped();
    assert_eq!(catalog.find("rke2", version("2.4")).map(|p| p.label()), Ok("rke2".to_owned()));
    assert_eq!(catalog.find("kubeadm", version("2.9")).map(|p| p.label()), Ok("kubeadm".to_owned()));
}

#[test]
fn a_version_outside_every_range_names_the_ranges_and_what_took_its_place() {
    let found = Catalog::shipped().find("downstream-imported", version("2.6")).map(|p| p.label());
    let Err(PickError::NoSuchVersion { ranges, see, .. }) = found else { panic!("{found:?}") };
    assert_eq!((ranges, see), (vec![">=2.0 <2.6".to_owned()], vec!["downstream-registered".to_owned()]));
}

#[test]
fn an_unknown_name_is_said() {
    let found = Catalog::shipped().find("rancher-server", None).map(|p| p.label());
    assert_eq!(found, Err(PickError::UnknownName("rancher-server".to_owned())));
}

#[test]
fn rows_of_other_versions_are_left_out() {
    let catalog = Catalog::shipped();
    let has = |v: Option<Version>| {
        let profile = catalog.find("downstream-imported", v).expect("it ships");
        profile.rows_named("rancher-webhook-9443").count()
    };
    // Asked for at Rancher v2.5.1 (rancher/rancher issue 30101).
    assert_eq!((has(version("2.4")), has(version("2.5.1")), has(None)), (0, 1, 1));
}

#[test]
fn what_extends_another_profile_has_its_rows_under_its_own_name() {
    let catalog = Catalog::shipped();
    let old = catalog.find("downstream-node-pools", version("2.4")).expect("it ships");
    let new = catalog.find("downstream-node-pools", version("2.8")).expect("it ships");
    assert_eq!(old.rows.len(), new.rows.len());
    assert_eq!(new.rows[0].label, "downstream-node-pools@2.6".into());
    assert_eq!((new.fixes.get("provisioner"), new.kind), (old.fixes.get("provisioner"), ProfileKind::Requirements));
}

#[test]
fn rows_can_be_left_out_of_what_is_extended() {
    let legacy = Catalog::shipped().find("kubeadm-legacy", None).expect("it ships");
    assert_eq!(legacy.rows_named("scheduler").count(), 0);
    assert_eq!(legacy.rows_named("scheduler-legacy").count(), 1);
    assert_eq!(legacy.rows_named("kubeadm-legacy/etcd").count(), 1);
}

/// `PROFILE` of each add-on's rows, and the condition of its first.
fn add_ons(name: &str, v: &str) -> Vec<String> {
    let profile = Catalog::shipped().find(name, version(v)).expect("it ships");
    let mut names: Vec<String> = profile.rows.iter().map(|row| row.profile.to_string()).collect();
    names.dedup();
    names.split_off(1)
}

#[test]
fn add_ons_join_the_profiles_that_bring_them() {
    let rke = ["cni-calico", "cni-cilium", "cni-weave"];
    for name in ["downstream-node-pools", "downstream-custom-nodes", "rancher-server-rke"] {
        assert_eq!(add_ons(name, "2.4"), rke, "{name}");
    }
    assert_eq!(add_ons("rke-roles", "2.4"), rke);
    let rke2 = ["rke2-cni-canal", "rke2-cni-calico", "rke2-cni-cilium", "rke2-cni-flannel", "rke2-windows"];
    assert_eq!(add_ons("rke2", "2.9"), rke2);
    let with_rke2: Vec<&str> = std::iter::once("rke2").chain(rke2).collect();
    for (name, v) in [("downstream-rke2", "2.9"), ("rancher-server-rke2", "2.9"), ("rancher-server-rke2", "2.5")] {
        assert_eq!(add_ons(name, v), with_rke2, "{name}");
    }
    let k3s = [
        "k3s-flannel-vxlan",
        "k3s-flannel-wireguard",
        "k3s-flannel-host-gw",
        "k3s-embedded-etcd",
        "k3s-spegel",
        "cni-calico",
        "cni-cilium",
    ];
    assert_eq!(add_ons("k3s", "2.9"), k3s);
    let with_k3s: Vec<&str> = std::iter::once("k3s").chain(k3s).collect();
    assert_eq!(add_ons("downstream-k3s", "2.9"), with_k3s);
    assert_eq!(add_ons("rancher-server-k3s", "2.9"), with_k3s);
    let upstream = ["cni-calico", "cni-cilium", "cni-flannel", "cni-weave"];
    assert_eq!(add_ons("kubeadm", "2.9"), upstream);
    assert_eq!(add_ons("kubeadm-legacy", "2.9"), upstream);
}

#[test]
fn rancher_server_on_k3s_of_the_old_table_is_complete_without_k3s() {
    assert!(!add_ons("rancher-server-k3s", "2.4").contains(&"k3s".to_owned()));
}

#[test]
fn a_generic_cni_never_joins_a_distribution_s_own() {
    for name in ["rke2", "downstream-rke2", "rancher-server-rke2"] {
        assert!(!add_ons(name, "2.9").iter().any(|add_on| add_on.starts_with("cni-")), "{name}");
    }
    for name in ["downstream-node-pools", "rke-roles", "k3s", "downstream-k3s"] {
        assert!(!add_ons(name, "2.9").contains(&"cni-flannel".to_owned()), "{name}");
    }
}

#[test]
fn an_add_on_s_rows_are_under_the_condition_that_joins_it() {
    let profile = Catalog::shipped().find("rke2", None).expect("it ships");
    let row = profile.rows_named("rke2-cni-canal/health").next().expect("the row is there");
    assert!(row.condition.options().iter().all(|option| &***option == "cni"));
    let windows = profile.rows_named("rke2-windows/vxlan").next().expect("the row is there");
    assert_eq!(windows.condition.options().first().map(|o| &***o), Some("windows"));
    let canal = OptionValue::Word("canal".into());
    assert!(profile.defaults.iter().any(|default| default.value == canal));
}

#[test]
fn a_row_that_several_composed_profiles_have_is_named_with_its_profile() {
    let profile = Catalog::shipped().find("rancher-server-rke2", version("2.9")).expect("it ships");
    let row = profile.rows_named("rke2/kubelet").next().expect("the row is there");
    assert_eq!(&*profile.word_for(row), "rke2/kubelet");
    let alone = profile.rows_named("rke2/etcd-metrics").next().expect("the row is there");
    assert_eq!(&*profile.word_for(alone), "etcd-metrics");
}

#[test]
fn clusters_of_one_profile_and_version_share_it() {
    let catalog = Catalog::shipped();
    let find = |text| catalog.find("downstream-node-pools", version(text)).expect("it ships");
    assert!(Arc::ptr_eq(&find("2.4"), &find("2.4")));
    assert!(!Arc::ptr_eq(&find("2.4"), &find("2.8")));
}
