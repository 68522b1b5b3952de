/** What users import as varve/nestjs. */

export {};
