/* The invariant of all tables, clause by clause, as programs: each inv_NAME says what the predicate
 * of that name says. The debug build runs check_inv() after every entry; the tests break each
 * clause and see it fire.
 */
#ifndef KERNEL_CHECK_H
#define KERNEL_CHECK_H

#include <stdbool.h>
#include <stdint.h>

enum {
#define CLAUSE(name) CLAUSE_##name,
#include "object/clauses.def"
    CLAUSES
};

/* The clause holds. */
bool check_clause(uint32_t clause);

/* The first clause that does not hold; CLAUSES when all do. */
uint32_t check_inv(void);

#define CLAUSE(name) bool inv_##name(void);
#include "object/clauses.def"

#endif
