/** What users import as varve/xstate-store. */

export {};
