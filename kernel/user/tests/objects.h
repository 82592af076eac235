/* What the tests of capabilities, untyped ranges and memory share. */
#ifndef USER_OBJECTS_H
#define USER_OBJECTS_H

#include "config.h"
#include "kit.h"

/* What a slot of the tests' cnode holds: the words of cnode.look. */
enum {
    LOOK_TYPE,
    LOOK_RIGHTS,
    LOOK_BADGE,
    LOOK_KIND,
    LOOK_OBJECT,
    LOOK_COUNT,
    LOOK_TABLE,
    LOOK_ENTRY
};
static inline uint64_t look(uint64_t handle, unsigned word)
{
    uint64_t answer[MSG_WORDS_REGS] = {0};
    (void)cnode_look(kit.cnode, handle, answer);
    return answer[word];
}

/* The slot behind a handle. */
static inline uint64_t slot_of(uint64_t handle)
{
    return look(kit.cnode, LOOK_OBJECT) + handle;
}

static inline unsigned copy_to(uint64_t to, uint64_t from, uint64_t rights)
{
    return cnode_copy(kit.cnode, to, kit.cnode, from, rights);
}

static inline unsigned delete (uint64_t handle)
{
    return delete_whole(kit.cnode, handle);
}

static inline unsigned revoke(uint64_t handle)
{
    return revoke_whole(kit.cnode, handle);
}

static inline unsigned move_to(uint64_t to, uint64_t from)
{
    unsigned error = ERR_AGAIN;
    while (error == ERR_AGAIN) {
        error = cnode_move(kit.cnode, to, kit.cnode, from);
    }
    return error;
}

/* Half of the time is the child's, whatever the tests do: it goes first, until its budget ends. */
static inline void child_races(struct child *c)
{
    uint64_t tick = boot_info()->ticks_per_us;
    if (context_configure(c->context, 50 * tick, 100 * tick) != 0 ||
        thread_priority(c->thread, 63) != 0) {
        give_up("let a child race", 0);
    }
}

#endif
