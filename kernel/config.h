/* Lengths of the kernel's tables. Entry 0 of every table is never used: index NIL is no entry.
 *
 * KERNEL_SMALL chooses the tables of the unit tests, of the random calls and of the prover; the
 * proofs hold for both, since they use no length's value. Constants only: assembly includes this.
 */
#ifndef KERNEL_CONFIG_H
#define KERNEL_CONFIG_H

#define NIL 0

#ifdef KERNEL_SMALL
#ifndef HOME_SLOTS
#define HOME_SLOTS 512 /* slots that cnodes are made of */
#endif
#define T_MAX 16 /* threads */
#define E_MAX 32 /* endpoints */
#define N_MAX 32 /* notifications */
#define R_MAX 32 /* reply objects */
#define C_MAX 16 /* scheduling contexts */
#ifndef PHYS_FRAMES
#define PHYS_FRAMES 2048 /* frames of memory */
#endif
#else
#define HOME_SLOTS  131072
#define T_MAX       1024
#define E_MAX       4096
#define N_MAX       4096
#define R_MAX       4096
#define C_MAX       1024
#define PHYS_FRAMES 65536
#endif

#define I_MAX 25 /* interrupt lines: line n is entry n + 1 */

/* Behind the slots of cnodes stand those that no handle reaches: what each thread is bound to
 * (ROLE_... of the ABI), and the notification that each interrupt line signals. What is bound is a
 * capability derived from the one that was named, so whatever ends that one ends the binding. */
#define THREAD_SLOTS         8 /* of one thread, at least ROLES */
#define THREAD_SLOT(t, role) (HOME_SLOTS + (t)*THREAD_SLOTS + (role))
#define IRQ_SLOT(i)          (HOME_SLOTS + T_MAX * THREAD_SLOTS + (i))
#define SLOTS                (HOME_SLOTS + T_MAX * THREAD_SLOTS + I_MAX)

/* owner[] (object/object.h) has one entry for each object of each noun, in this order. */
#define OWN_CNODE        0 /* by first slot */
#define OWN_THREAD       (OWN_CNODE + HOME_SLOTS)
#define OWN_ENDPOINT     (OWN_THREAD + T_MAX)
#define OWN_NOTIFICATION (OWN_ENDPOINT + E_MAX)
#define OWN_REPLY        (OWN_NOTIFICATION + N_MAX)
#define OWN_CONTEXT      (OWN_REPLY + R_MAX)
#define OWN_FRAME        (OWN_CONTEXT + C_MAX) /* frames, tables and spaces, by first frame */
#define OWN_IRQ          (OWN_FRAME + PHYS_FRAMES)
#define OBJECTS          (OWN_IRQ + I_MAX)

#endif
