/** What users import as varve/actor-ts. */

export {};
