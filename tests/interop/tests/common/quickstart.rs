//! The program of the README against a real server.

use fapi_interop::{Answer, Program, User};
use url::Url;

use super::Setup;

/// Runs it from its first request to its end, and gives what it printed.
pub async fn run_quickstart(setup: &Setup<'_>, api: &str, scope: &str) -> String {
    let mut program = Program::new(env!("CARGO_BIN_EXE_quickstart"))
        .option("--issuer", &setup.issuer)
        .option("--client-id", setup.registration.client_id)
        .option("--api", api)
        .option("--scope", scope)
        .option("--redirect-uri", "http://127.0.0.1:0/callback")
        .file("--key", setup.registration.key.pem())
        .file("--ca", setup.pki.authority())
        .start();
    let redirect_uri = program.line("waiting at ");
    let url = format!("https://{}", program.line("https://"));

    let mut browser = setup.browser();
    let callback = browser
        .visit(&url, &redirect_uri, User::ALICE, Answer::Allow)
        .await;
    let page = browser.deliver(&callback).await;
    assert!(page.contains("You can close this window"), "{page}");

    let output = program.end();
    for proof in [
        "proven: the browser carries [\"client_id\", \"request_uri\"] and nothing else",
        "proven: the same callback again is refused",
        "proven: it is about ",
        "proven: the new token works at the API",
        "proven: the session is over: sign_in_again.logged_out",
        "Done.",
    ] {
        assert!(output.contains(proof), "{proof:?} is missing:\n{output}");
    }
    let callback = Url::parse(&callback).unwrap();
    let secrets = callback
        .query_pairs()
        .filter(|(name, _)| name == "code" || name == "state")
        .map(|(_, value)| value.into_owned());
    for secret in secrets.chain(["PRIVATE KEY".to_owned(), "eyJ".to_owned()]) {
        assert!(
            !output.contains(&secret),
            "{secret:?} is printed:\n{output}"
        );
    }
    output
}
