/** What users import as varve/journal. */

export {};
