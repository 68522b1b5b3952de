/** What users import as varve/langgraph. */

export {};
