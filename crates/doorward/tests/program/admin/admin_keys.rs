//! `doorward admin admin-key`.

use super::text;
use crate::support::Place;

#[tokio::test]
async fn the_key_of_the_first_start_is_replaced_by_one_for_each_operator() {
    let place = Place::new().without("DOORWARD_ADMIN_BOOTSTRAP_KEY");
    let server = place.serve().await;
    let said = server.process.stdout();
    let leaked = said.lines().find(|line| line.starts_with("dwk_")).unwrap();
    let place = place.set("DOORWARD_ADMIN_KEY", leaked);
    let create = ["admin", "admin-key", "create", "--name", "ada", "--json"];
    let created = place.run(&create).json();
    let again = place.run(&create).json_failure_with(6);
    assert_eq!(
        (&again["error"], &again["status"]),
        (&"conflict".into(), &409.into())
    );
    let listed = place.run(&["admin", "admin-key", "list", "--json"]).json();
    let mut keys = listed["items"].as_array().unwrap().iter();
    let first = keys.find(|key| key["name"] == "first start").unwrap();
    let first = text(first, "id");

    let place = place.set("DOORWARD_ADMIN_KEY", &text(&created, "key"));
    let delete = ["admin", "admin-key", "delete", &first];
    insta::assert_snapshot!(place.run(&delete).success(), @"The admin key counts no more.");
    place.run(&delete).one_line_failure_with(5);
    let table = place.run(&["admin", "admin-key", "list"]).success();
    assert!(table.contains("ada") && !table.contains("dwk_"), "{table}");
    assert_eq!(table.lines().count(), 2, "{table}");
    let last = ["admin", "admin-key", "delete", &text(&created, "id")];
    let complaint = place.run(&last).one_line_failure_with(6);
    assert!(
        complaint.starts_with("This is the last admin key, and no admin.bootstrap_key is set"),
        "{complaint}"
    );
    let told = ["admin", "audit", "list", "--actor-id", "ada", "--outcome", "done"];
    let told = place.run(&told).success();
    assert!(told.contains("admin_key.deleted"), "{told}");

    let place = place.set("DOORWARD_ADMIN_KEY", leaked);
    place
        .run(&["admin", "admin-key", "list"])
        .one_line_failure_with(4);
}
