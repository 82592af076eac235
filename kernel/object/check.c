/* The invariant: see check.h. */
#include "object/check.h"

bool check_clause(uint32_t clause)
{
    switch (clause) {
#define CLAUSE(name)                                                                               \
    case CLAUSE_##name:                                                                            \
        return inv_##name();
#include "object/clauses.def"
    default:
        return true;
    }
}

uint32_t check_inv(void)
{
    uint32_t clause = 0;
    while (clause < CLAUSES && check_clause(clause)) {
        clause++;
    }
    return clause;
}
