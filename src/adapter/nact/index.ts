/** What users import as varve/nact. */

export {};
