/** What users import as varve/emmett. */

export {};
