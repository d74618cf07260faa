//! The stand-ins do what was measured on the real scripts and read in the real sources.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::{fs, path::Path, process::Command, time::Duration};

use cavalcade_tests::{
    standin::{
        fleet::{self, edit_toml, run_script, running, script, wait_until},
        packs,
        stage::{Stage, log},
    },
    test_program,
};
use serde_json::{Value, json};
use toml_edit::value;

const PATIENCE: Duration = Duration::from_secs(300);

fn stage(settings: &Value) -> Stage {
    Stage::new(Path::new(env!("CARGO_BIN_EXE_standin-java")), settings).unwrap()
}

#[test]
fn a_server_starts_stops_and_leaves_its_pid_file() {
    let stage = stage(&json!({"start": 0.6}));
    let (home, _) = stage.home("is 1", packs::IS_PACK).unwrap();
    assert_eq!(
        stage.run(&home, &["version"]).unwrap(),
        (Some(0), "WSO2 Identity Server v5.11.0\nWSO2 Carbon Framework v4.6.1\n".to_owned())
    );
    assert_eq!(stage.run(&home, &["start"]).unwrap(), (Some(0), String::new()));
    stage.wait_for("ready", 1).unwrap();
    let pid_file = fs::read(home.join("wso2carbon.pid")).unwrap();
    let pid = running(&home).unwrap();
    let mut expected = format!("{pid}\n").into_bytes();
    expected.resize(100, 0);
    assert_eq!(pid_file, expected);
    assert!(log(&home).contains("WSO2 Carbon started in "));

    assert_eq!(stage.run(&home, &["start"]).unwrap(), (Some(0), "Process is already running\n".to_owned()));
    assert_eq!(stage.run(&home, &["stop"]).unwrap(), (Some(0), String::new()));
    stage.wait_for("exit", 1).unwrap();
    assert_eq!(stage.witness("exit").unwrap()[0].detail["status"], json!(143));
    wait_until(PATIENCE, "the process is gone", || running(&home).is_none()).unwrap();
    assert!(home.join("wso2carbon.pid").exists());
    let (status, text) = stage.run(&home, &["stop"]).unwrap();
    assert_eq!(status, Some(0));
    assert!(text.contains("No such process"), "{text}");
    assert_eq!(stage.witness("launch").unwrap().len(), 1);
}

#[test]
fn the_launcher_is_looked_for_before_any_command() {
    let stage = stage(&json!({}));
    let (home, _) = stage.home("is-1", packs::IS_PACK).unwrap();
    for command in ["start", "stop", "version"] {
        let output =
            Command::new("sh").arg(script(&home)).arg(command).env_remove("JAVA_HOME").env_remove("JAVACMD").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, "Error: JAVA_HOME is not defined correctly.\n CARBON cannot execute java\n");
    }
}

#[test]
fn a_stale_pid_file_with_the_number_of_a_stranger_stops_the_start() {
    let stage = stage(&json!({}));
    let (home, _) = stage.home("is-1", packs::IS_PACK).unwrap();
    fs::write(home.join("wso2carbon.pid"), format!("{}\n", std::process::id())).unwrap();
    assert_eq!(stage.run(&home, &["start"]).unwrap(), (Some(0), "Process is already running\n".to_owned()));
    assert!(!stage.witness_file().exists());
    assert_eq!(running(&home), None);
}

#[test]
fn carbon_home_wins_over_the_place_of_the_script() {
    let stage = stage(&json!({"start": 0.4, "pid_file_after": 0.1}));
    let (a, _) = stage.home("a", packs::IS_PACK).unwrap();
    let (b, _) = stage.home("b", packs::IS_PACK).unwrap();
    fs::write(a.join("tmp/left"), "").unwrap();
    let status =
        Command::new("sh").arg(script(&b)).arg("start").env("CARBON_HOME", &a).env("JAVA_HOME", stage.jdk()).status().unwrap();
    assert!(status.success());
    stage.wait_for("ready", 1).unwrap();
    assert!(running(&a).is_some() && !b.join("wso2carbon.pid").exists());
    assert!(!a.join("tmp/left").exists());
    fleet::stop(&a).unwrap();
}

#[test]
fn status_121_launches_again_with_the_same_arguments() {
    let stage = stage(&json!({"start": 0.3, "pid_file_after": 0.1, "fault": "exit-121"}));
    let (home, _) = stage.home("is-1", packs::IS_PACK).unwrap();
    stage.run(&home, &["start", "-Dmigrate", "-Dcomponent=identity"]).unwrap();
    stage.wait_for("ready", 1).unwrap();
    let launches = stage.witness("launch").unwrap();
    assert_eq!(launches.len(), 2);
    assert_eq!(launches[0].detail["args"], json!(["-Dmigrate", "-Dcomponent=identity"]));
    assert_eq!(launches[0].detail["args"], launches[1].detail["args"]);
    assert_eq!(launches[0].detail["parent"], launches[1].detail["parent"]);
    assert_ne!(launches[0].pid, launches[1].pid);
    assert!(log(&home).contains("Migration client not found"));
    fleet::stop(&home).unwrap();
}

#[test]
fn a_crash_in_the_foreground_is_status_0_of_the_script() {
    let stage = stage(&json!({"pid_file_after": 0.0}));
    let (home, _) = stage.home("is-1", packs::IS_PACK).unwrap();
    fs::write(home.join("standin.json"), r#"{"fault": "crash"}"#).unwrap();
    let (status, text) = stage.run(&home, &[]).unwrap();
    assert_eq!(status, Some(0));
    assert!(text.contains("WSO2 Carbon initialization Failed"), "{text}");
    assert!(home.join("wso2carbon.pid").exists());
    assert_eq!(stage.witness("exit").unwrap()[0].detail["status"], json!(1));

    fs::write(home.join("standin.json"), "{}").unwrap();
    fs::write(home.join("repository/conf/deployment.toml"), "[server\n").unwrap();
    let before = log(&home);
    let (status, text) = stage.run(&home, &[]).unwrap();
    assert_eq!(status, Some(0));
    assert!(text.contains("Error while performing configuration changes"), "{text}");
    assert_eq!(log(&home), before, "the log is not open yet");
}

#[test]
fn a_taken_port_leaves_a_server_half_up() {
    let stage = stage(&json!({"start": 0.4, "pid_file_after": 0.1}));
    let (home, offset) = stage.home("is-1", packs::IS_PACK).unwrap();
    let _taken = std::net::TcpListener::bind(("0.0.0.0", 9443 + offset)).unwrap();
    stage.run(&home, &["start"]).unwrap();
    stage.wait_for("ready", 1).unwrap();
    assert_eq!(stage.witness("port-in-use").unwrap()[0].detail["port"], json!(9443 + offset));
    assert!(log(&home).contains("LifeCycleException while starting tomcat connector"));
    assert!(std::net::TcpStream::connect(("127.0.0.1", 9763 + offset)).is_ok());
    fleet::stop(&home).unwrap();
}

#[test]
fn a_hanging_start_says_what_it_waits_for_and_ends_on_term() {
    let stage = stage(&json!({"start": 0.2, "pid_file_after": 0.1, "fault": "hang", "waiting_interval": 0.1}));
    let (home, offset) = stage.home("am-1", packs::AM_PACK).unwrap();
    stage.run(&home, &["start"]).unwrap();
    wait_until(PATIENCE, "the waiting line", || log(&home).contains("Waiting for required OSGi services: ")).unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", 9443 + offset)).is_err());
    fleet::stop(&home).unwrap();
    assert_eq!(stage.witness("exit").unwrap()[0].detail["status"], json!(143));
    assert!(stage.witness("ready").unwrap().is_empty());
}

#[test]
fn profile_setup_replaces_the_configuration_unless_told_otherwise() {
    let stage = stage(&json!({}));
    let (home, _) = stage.home("tm-1", packs::AM_PACK).unwrap();
    let setup = home.join("bin/profileSetup.sh");
    let toml = home.join("repository/conf/deployment.toml");
    let original = fs::read_to_string(&toml).unwrap();
    let run = |arguments: &[&str]| {
        let output = run_script(&setup, &stage.jdk(), arguments).unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let names = |folder: &str| {
        let entries = fs::read_dir(home.join("repository/deployment/server").join(folder)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    fs::write(home.join("repository/deployment/server/webapps/custom.war"), "").unwrap();

    let (status, text) = run(&["--skipConfigOptimization", "-Dprofile=traffic-manager"]);
    assert_eq!(status, Some(0));
    assert!(text.ends_with("Profile is not specified properly, please try again\n"), "{text}");
    assert!(names("webapps").contains(&"custom.war".to_owned()));
    assert_eq!(run(&["-Dprofile=gateway"]).0, Some(0));

    let (status, text) = run(&["-Dprofile=traffic-manager", "--skipConfigOptimization"]);
    assert_eq!(status, Some(0));
    assert!(text.ends_with("Finished the optimizations\n"), "{text}");
    assert_eq!(fs::read_to_string(&toml).unwrap(), original);
    assert_eq!(names("webapps"), ["internal#data#v1.war"]);
    assert!(names("jaggeryapps").is_empty());
    assert_eq!(names("synapse-configs/default"), ["synapse.xml"]);

    run(&["-Dprofile=traffic-manager"]);
    let backup = home.join("repository/conf/deployment.toml.backup");
    assert_eq!(fs::read_to_string(&backup).unwrap(), original);
    run(&["-Dprofile=traffic-manager"]);
    assert_eq!(fs::read_to_string(&backup).unwrap(), fs::read_to_string(&toml).unwrap(), "the original is lost");
}

#[test]
fn a_gateway_keeps_two_web_applications_and_its_synapse_configuration() {
    let stage = stage(&json!({}));
    let (home, _) = stage.home("gw-1", packs::AM_PACK).unwrap();
    let setup = home.join("bin/profileSetup.sh");
    let blank = stage.path("a b");
    fs::create_dir(&blank).unwrap();
    let output = Command::new("sh")
        .arg(&setup)
        .args(["-Dprofile=gateway-worker", "--skipConfigOptimization"])
        .current_dir(&blank)
        .output();
    let output = output.unwrap();
    assert_ne!(output.status.code(), Some(0), "the last cd fails after full success");
    assert!(String::from_utf8(output.stdout).unwrap().ends_with("Finished the optimizations\n"));
    let entries = fs::read_dir(home.join("repository/deployment/server/webapps")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["am#sample#pizzashack#v1.war", "api#am#gateway#v2.war"]);
    assert!(home.join("repository/deployment/server/synapse-configs/default/sequences/main.xml").exists());
}

#[test]
fn an_api_manager_without_identity_server_says_started_and_never_works() {
    let stage = stage(&json!({"start": 0.3, "pid_file_after": 0.1}));
    let (home, offset) = stage.home("am-1", packs::AM_PACK).unwrap();
    let nobody = stage.offset().unwrap();
    let url = format!("https://localhost:{}/services/", 9443 + nobody);
    edit_toml(&home, [("apim.key_manager.service_url".to_owned(), value(url))]).unwrap();
    stage.run(&home, &["start"]).unwrap();
    stage.wait_for("ready", 1).unwrap();
    assert_eq!(stage.witness("started-without-is").unwrap().len(), 1);
    assert!(log(&home).contains("WSO2 Carbon started in ") && log(&home).contains("ERROR"));
    assert!(std::net::TcpStream::connect(("127.0.0.1", 8243 + offset)).is_ok());
    fleet::stop(&home).unwrap();
}

#[test]
fn a_gateway_waits_for_the_broker_of_its_traffic_manager() {
    let stage = stage(&json!({"start": 0.3, "pid_file_after": 0.1, "waiting_interval": 0.1}));
    let (gateway, _) = stage.home("gw-1", packs::AM_PACK).unwrap();
    let (manager, offset) = stage.home("tm-1", packs::AM_PACK).unwrap();
    let mut endpoints = toml_edit::Array::new();
    endpoints.push(format!("tcp://localhost:{}", 5672 + offset));
    edit_toml(&gateway, [("apim.throttling.throttle_decision_endpoints".to_owned(), value(endpoints))]).unwrap();
    stage.run(&gateway, &["start", "-Dprofile=gateway-worker"]).unwrap();
    wait_until(PATIENCE, "the waiting line", || {
        log(&gateway).contains("JMSListener Unable to continue server startup as it seems the JMS Provider is not yet started")
    })
    .unwrap();
    assert!(stage.witness("ready").unwrap().is_empty());
    fleet::start(&manager, &stage.jdk(), &["-Dprofile=traffic-manager"]).unwrap();
    stage.wait_for("ready", 2).unwrap();
    fleet::stop(&gateway).unwrap();
    fleet::stop(&manager).unwrap();
}

#[test]
fn term_can_be_left_lying_and_the_launcher_can_be_another() {
    let stage = stage(&json!({"start": 0.3, "pid_file_after": 0.1, "ignore_term": 8.0}));
    let (home, offset) = stage.home("is-1", packs::IS_PACK).unwrap();
    // JAVACMD wins over JAVA_HOME, which only has to be set.
    let gate = stage.path("gate");
    let launcher = format!(
        "#!/bin/sh\necho \"$*\" >> '{}'\nexec '{}' \"$@\"\n",
        stage.path("seen").display(),
        stage.jdk().join("bin/java").display()
    );
    test_program::write(&gate, launcher.as_bytes()).unwrap();
    let mut command = Command::new("sh");
    command.arg(script(&home)).arg("start").env("JAVACMD", &gate).env("JAVA_HOME", "/nowhere").env_remove("CARBON_HOME");
    assert!(command.status().unwrap().success());
    stage.wait_for("ready", 1).unwrap();
    let seen = fs::read_to_string(stage.path("seen")).unwrap();
    assert_eq!(seen.lines().filter(|line| line.contains("-Dcarbon.home=")).count(), 1, "{seen}");

    stage.run(&home, &["stop"]).unwrap();
    stage.wait_for("term", 1).unwrap();
    assert!(running(&home).is_some(), "TERM was heard and nothing happened yet");
    assert!(std::net::TcpStream::connect(("127.0.0.1", 9443 + offset)).is_ok());
    stage.wait_for("exit", 1).unwrap();
}

#[test]
fn a_server_without_its_driver_hangs_with_the_fatal_line() {
    let stage = stage(&json!({"start": 0.2, "pid_file_after": 0.1, "waiting_interval": 0.1}));
    let (home, _) = stage.home("is-1", packs::IS_PACK).unwrap();
    let account = fleet::Account {
        url: "jdbc:mysql://127.0.0.1:1/shared_db?useSSL=false".to_owned(),
        username: "u".to_owned(),
        password: "p".to_owned(),
    };
    edit_toml(&home, account.settings("shared_db")).unwrap();
    for complaint in ["Cannot load JDBC driver class 'com.mysql.cj.jdbc.Driver'", "Communications link failure"] {
        stage.run(&home, &["start"]).unwrap();
        wait_until(PATIENCE, "the waiting line", || log(&home).contains("Waiting for required OSGi services: ")).unwrap();
        fleet::stop(&home).unwrap();
        let text = log(&home);
        assert!(text.contains(complaint) && text.contains("WSO2 Carbon initialization Failed"), "{text}");
        assert!(!text.contains("WSO2 Carbon started in"));
        fs::remove_file(home.join("repository/logs/wso2carbon.log")).unwrap();
        fs::copy(stage.packs().join(packs::DRIVER), home.join("repository/components/lib").join(packs::DRIVER)).unwrap();
    }
}
