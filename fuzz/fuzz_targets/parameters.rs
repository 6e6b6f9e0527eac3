//! Any bytes as a form: what is read equals the URL standard's reading, and a repeated parameter is never chosen from.
#![no_main]

use doorward_oauth::parameters::Parameters;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|form: &[u8]| {
    let Ok(parameters) = Parameters::parse(form) else {
        return;
    };
    let standard: Vec<_> = url::form_urlencoded::parse(form).collect();
    assert!(
        parameters.iter().eq(standard
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref())))
    );
    let repeated = parameters.duplicates();
    for name in parameters.names() {
        assert_eq!(parameters.get(name).is_err(), repeated.contains(name));
    }
});
