//! What people say of recordings.

use base::limits;
use store::{Catalog, CatalogError, Filter, Hold, Order};

use crate::places::places;
use crate::sample::{NOW, recording, seconds};

fn catalogs() -> Vec<(crate::places::Place, Catalog)> {
    let filled = |place: crate::places::Place| {
        let catalog = Catalog::open(&place.database).unwrap();
        catalog.insert(&(0..20).map(recording).collect::<Vec<_>>()).unwrap();
        (place, catalog)
    };
    places("annotations").into_iter().map(filled).collect()
}

fn found(catalog: &Catalog, filter: &Filter) -> Vec<u64> {
    let found = catalog.find(filter, Order::Earliest, None, 100).unwrap();
    found.iter().map(|recording| recording.start_time.since(NOW).as_secs()).collect()
}

fn labelled(labels: &[&str]) -> Filter {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    Filter { labels, ..Filter::default() }
}

#[test]
fn labels_are_given_taken_counted_and_searched() {
    for (_place, catalog) in catalogs() {
        let id = |at| recording(at).id;
        for at in [3, 5, 7] {
            assert!(catalog.label(id(at), "complaint", true).unwrap());
        }
        assert!(!catalog.label(id(3), "complaint", true).unwrap(), "it had it");
        catalog.label(id(5), "été 100%", true).unwrap();
        assert_eq!(
            catalog.labels().unwrap(),
            [("complaint".to_owned(), 3), ("été 100%".to_owned(), 1)]
        );
        assert_eq!(found(&catalog, &labelled(&["complaint"])), [3, 5, 7]);
        assert_eq!(found(&catalog, &labelled(&["complaint", "été 100%"])), [5]);
        let late = Filter { from: Some(NOW.plus(seconds(6))), ..labelled(&["complaint"]) };
        assert_eq!(found(&catalog, &late), [7]);
        // The recording is entered again: the call was finished once more.
        catalog.insert([&recording(3)]).unwrap();
        assert_eq!(found(&catalog, &labelled(&["complaint"])), [3, 5, 7]);
        assert!(catalog.label(id(3), "complaint", false).unwrap());
        assert!(!catalog.label(id(3), "complaint", false).unwrap());
        assert_eq!(found(&catalog, &labelled(&["complaint"])), [5, 7]);
        catalog.delete(id(5)).unwrap();
        assert_eq!(catalog.labels().unwrap(), [("complaint".to_owned(), 1)]);
    }
}

#[test]
fn free_metadata_and_holds_are_set_searched_and_taken_back() {
    for (_place, catalog) in catalogs() {
        let id = |at| recording(at).id;
        let by = |key: &str, value: &str| Filter {
            metadata: vec![(key.into(), value.into())],
            ..Filter::default()
        };
        catalog.set_metadata(id(1), "case", Some("4711")).unwrap();
        catalog.set_metadata(id(2), "case", Some("4711")).unwrap();
        catalog.set_metadata(id(2), "agent", Some("a=b")).unwrap();
        catalog.set_metadata(id(1), "case", Some("4712")).unwrap();
        assert_eq!(found(&catalog, &by("case", "4711")), [2]);
        assert_eq!(found(&catalog, &by("case", "4712")), [1]);
        assert_eq!(found(&catalog, &by("agent", "a=b")), [2]);
        assert_eq!(found(&catalog, &by("agent=a", "b")), [0; 0]);
        catalog.set_metadata(id(2), "case", None).unwrap();
        assert_eq!(found(&catalog, &by("case", "4711")), [0; 0]);

        let hold = |who: &str| Hold { who: who.into(), reason: "court".into(), time: NOW };
        catalog.hold(id(4), &hold("anna")).unwrap();
        catalog.hold(id(4), &hold("bob")).unwrap();
        let held = Filter { held: Some(true), ..Filter::default() };
        assert_eq!(found(&catalog, &held), [4]);
        let not_held = Filter { held: Some(false), ..Filter::default() };
        assert_eq!(found(&catalog, &not_held).len(), 19);
        let said = catalog.annotations(&[id(4), id(2), id(9)]).unwrap();
        assert_eq!(said.len(), 2);
        assert_eq!(said[&id(4)].hold, Some(hold("bob")));
        assert_eq!(said[&id(2)].metadata["agent"], "a=b");
        assert!(catalog.release(id(4)).unwrap() && !catalog.release(id(4)).unwrap());
        assert_eq!(found(&catalog, &held), [0; 0]);
    }
}

#[test]
fn what_cannot_be_said_leaves_nothing() {
    for (_place, catalog) in catalogs() {
        let nobody = recording(99).id;
        let hold = Hold { who: "anna".into(), reason: "court".into(), time: NOW };
        assert!(matches!(catalog.label(nobody, "x", true), Err(CatalogError::NotFound(_))));
        assert!(matches!(catalog.label(nobody, "x", false), Err(CatalogError::NotFound(_))));
        assert!(matches!(catalog.hold(nobody, &hold), Err(CatalogError::NotFound(_))));
        assert_eq!(catalog.labels().unwrap(), []);
        assert_eq!(catalog.annotations(&[nobody]).unwrap().len(), 0);
        let id = recording(1).id;
        let long = "x".repeat(limits::LABEL_BYTES_MAX + 1);
        for label in ["", " ", "a\0b", &long] {
            assert!(matches!(catalog.label(id, label, true), Err(CatalogError::Asked(_))));
        }
        for number in 0..limits::ANNOTATIONS_PER_RECORDING_MAX {
            catalog.label(id, &format!("label {number}"), true).unwrap();
        }
        let error = catalog.label(id, "one more", true).unwrap_err();
        assert!(error.to_string().contains("at most 64"), "{error}");
        assert_eq!(catalog.annotations(&[id]).unwrap()[&id].labels.len(), 64);
    }
}
