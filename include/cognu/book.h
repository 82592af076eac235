/* book: records in memory that outlives its process: what is committed when a process is killed, at
 * any instruction, is there for its successor; what is not, never was.
 *
 * A book is a memfd that init keeps (lib/keep), or private memory where nobody keeps anything. A
 * record is bytes of a fixed length with a kind and two numbers, all its owner's. Records that are
 * added, and those that are dropped, become so together at the next commit, which is one store of
 * one word. A committed record is never written again, with one exception: an owner may write into
 * it where he himself can tell a half from a whole (a word that stands for itself, or two versions,
 * each with the number of its transaction: book_now).
 *
 * How it is made. The memory is cut into chunks of 256 KiB; a chunk holds blocks of one size class,
 * with their heads before them, or is part of one large record. A head tells in which transaction
 * its record was born and died; the first page of the book tells which was the last committed one.
 * So nothing is logged and nothing is written twice: adoption reads the heads, forgets what was
 * born later, and revives what died later. Free blocks are known only to the process.
 *
 * Not thread-safe. Not for disks: it relies on the order of stores as the next process sees them,
 * which a kill keeps and a power failure does not.
 */
#ifndef COGNU_BOOK_H
#define COGNU_BOOK_H

#include <cognu/base.h>

struct book;

enum {
    BOOK_KIND_BYTES = 16,
    BOOK_RECORD_BYTES_MAX = (1 << 21), /* a frame of the wire with room */
};
#define BOOK_BYTES_MIN (UINT64_C(1) << 20)
#define BOOK_BYTES_MAX (UINT64_C(16) << 30)

struct book_config {
    const char *kind; /* whose, and */
    uint32_t version; /* of the records: another is not adopted */
    uint64_t bytes;   /* of address space, a multiple of 1 MiB; memory is taken as it is used */
    int fd;           /* a memfd of that size (book_memory), which is taken; -1: private memory */
};

/* What can be known of a record from outside; a and b are its owner's. */
struct book_head {
    uint64_t born, dead; /* transactions; born 0: the block is free */
    uint64_t a, b;
    uint32_t len;
    uint16_t kind;
    uint16_t class; /* the chunk's, for checks */
    uint64_t next;  /* the process's own: meaningless to a successor */
};

/* A memfd for a book: sealed at its size. */
cg_err book_memory(const char *name, uint64_t bytes, int *fd, struct cg_errbuf *eb);
/* Formats memory that was never used, adopts a book that is there. CG_EBADFORMAT: it is another's
 * or of another version or damaged, and eb says which. */
cg_err book_new(const struct book_config *config, struct book **out, struct cg_errbuf *eb);
void book_free(struct book *b); /* the memory stays what it is */
bool book_adopted(const struct book *b);

/* A record in the open transaction, zeroed, 64-byte aligned (4 KiB where len is a multiple of
 * that and at least that). NULL: the book, or the host's memory, is full. */
void *book_add(struct book *b, uint16_t kind, uint64_t a, uint64_t b_number, uint32_t len);
/* The same, but its bytes are what they were: for who writes them all. */
void *book_add_raw(struct book *b, uint16_t kind, uint64_t a, uint64_t b_number, uint32_t len);
/* It is gone with the next commit; at once when it was born in the open transaction. */
void book_drop(struct book *b, void *record);
void book_commit(struct book *b);
/* The number of the open transaction, which book_commit will commit; of the last committed one. */
uint64_t book_now(const struct book *b);
uint64_t book_committed(const struct book *b);
struct book_head *book_head(const struct book *b, const void *record);
/* All records, in no order: start with *cursor = 0; NULL at the end. Those of the open transaction
 * too. Dropping the one that was given is allowed. */
void *book_next(const struct book *b, uint64_t *cursor);
uint64_t book_bytes(const struct book *b); /* of chunks in use */

/* For tests: called before each store that a successor could see. */
extern void (*book_on_step)(void);

#endif
