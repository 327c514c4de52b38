/* SPDX-License-Identifier: Apache-2.0 */
/* A partition on its way, and its processes: shared by the files that suspend. */
#ifndef CHRONOS_HOST_SUSPEND_MEMBERS_H
#define CHRONOS_HOST_SUSPEND_MEMBERS_H

#include "suspend.h"

/* What each process takes beyond what it had, and rounding. */
#define SUSPEND_SPARE_BYTES (UINT64_C(64) << 20)

enum suspend_step {
    STEP_TURN,  /* waits for its turn to leave or to come back */
    STEP_AGAIN, /* looks again soon: one that is in the way may be ending */
    STEP_LOOK,  /* asks those that were found last for their states */
    STEP_LOCK,  /* locks them */
    STEP_WEIGH, /* asks what they have, which can be more than before they were locked */
    STEP_NOTED, /* waits until their figures are durable */
    STEP_SAVE,  /* moves them to the machine's memory */
    STEP_FREEZE,
    STEP_CHECK, /* whether any of them is still on the device */
    STEP_AWAY,
    STEP_ROOM, /* comes back: asks for room */
    STEP_THAW,
    STEP_STATES,
    STEP_RESTORE,
    STEP_UNLOCK,
};

struct suspend_member {
    int32_t pid;
    uint32_t state; /* enum checkpoint_state, as far as is known */
    uint64_t bytes; /* on the device when it was asked */
    bool asked;     /* its state is known */
    bool here;      /* of the last listing */
};

struct suspension {
    struct avl_node by_id;
    struct partition partition;
    uint32_t account;
    enum suspend_step step;
    bool back;    /* it comes back */
    bool again;   /* then it leaves once more */
    bool failing; /* what was done is undone, for `why` */
    bool frozen;  /* proctrack_freeze was asked for */
    bool found;   /* after a restart: it has processes */
    bool unsure;  /* likewise: it was coming back, and some may be there already */
    bool lost;    /* some cannot be restored */
    bool running; /* counts for SUSPEND_RUNNING_MAX */
    bool crowded; /* it has more processes than can be asked about; those are not in the list */
    uint32_t rounds, doubts;
    int32_t doubted;  /* looks as if it could not be suspended, or is ending; 0: none */
    int64_t begun_ns; /* when it was to leave, or to come back */
    int64_t due_ns;   /* when to look next; INT64_MAX: when there is an answer */
    uint64_t bytes;   /* what they had; needed to come back */
    uint32_t count;
    struct checkpoint *checkpoint;
    struct suspend_member *members;
    size_t member_count, member_capacity;
    char why[SUSPEND_WHY_MAX];
};

/* List the processes now; those that are gone are dropped. Return how many have
 * not been asked yet, or -errno. */
int suspend_members_list(const struct suspensions *suspensions, struct suspension *suspension);
/* Pass the pids in one of these states, or with `unasked` those whose state is not known. Return
 * how many; at most CHECKPOINT_PROCESS_MAX. */
uint32_t suspend_members_pids(const struct suspension *suspension, bool unasked, unsigned states,
                              int32_t *pids);
#define SUSPEND_IN(state) (1u << (state))
#define SUSPEND_ANY       ~0u
/* Note the states and figures that an answer has. */
void suspend_members_take(struct suspension *suspension, const struct checkpoint_answer *answer);
/* Note what a call has done: those for which it succeeded are in this state now. Return the first
 * that it failed for and that is still there, or NULL. */
const struct checkpoint_process *suspend_members_done(const struct suspensions *suspensions,
                                                      struct suspension *suspension,
                                                      const struct checkpoint_answer *answer,
                                                      uint32_t state);
/* Add up what those in these states had. */
uint64_t suspend_members_bytes(const struct suspension *suspension, unsigned states,
                               uint32_t *ret_count);
/* Return whether they can be suspended, or why not. */
bool suspend_members_check(const struct suspensions *suspensions, struct suspension *suspension,
                           const struct checkpoint_answer *answer);
/* Note what they have now that they are locked. Return whether there is room, or why not. */
bool suspend_members_weigh(const struct suspensions *suspensions, struct suspension *suspension,
                           const struct checkpoint_answer *answer);
/* Ask all again that are not locked. */
void suspend_members_doubt(struct suspension *suspension);
/* Kill those in this state: nothing else ends them. */
void suspend_members_kill(const struct suspensions *suspensions,
                          const struct suspension *suspension, uint32_t state);

#endif
