/** What users import as varve/node-eventstore. */

export {};
