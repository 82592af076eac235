/* sim__.h: what the files of sim share. */
#ifndef COGNU_SIM__H
#define COGNU_SIM__H

#include <cognu/sim.h>

struct sim {
    uint64_t random, now_ns;
    struct cg_env env;
    struct cg_list events;
};

#endif
