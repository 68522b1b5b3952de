/** What users import as varve/automerge-repo. */

export {};
