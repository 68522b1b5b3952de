/** What users import as varve/xstate. */

export {};
