/** What users import as varve/castore. */

export {};
