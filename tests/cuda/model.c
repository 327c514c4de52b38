/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random calls of several threads in a partition, against the made-up driver. At times all threads
 * stop, and what is charged must be what the driver gave; at no time has it given more than the
 * limit; with one thread nothing is refused that fits; in the end all is given back.
 *
 * usage: model THREADS CALLS SEED LIMIT_MIB [forks | shared]
 *
 * forks: children are made all the time, which call the driver too, and exit; shared: another
 * process charges the partition, too.
 */
#include "tests/fake_cuda/fake.h"

#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OBJECTS     96 /* of a thread, at most */
#define THREADS_MAX 16
#define ROUNDS      20

enum kind { POINTER, POOLED, ARRAY, MIPMAP, HANDLE, MAPPED, FOREIGN, KINDS };

struct object {
    enum kind kind;
    uint64_t key, bytes;
};

struct worker {
    pthread_t thread;
    unsigned number;
    uint64_t random;
    CUstream stream;
    CUdeviceptr next_address; /* for mappings */
    struct object object[OBJECTS];
    size_t count;
    uint64_t refused, made;
};
static struct worker workers[THREADS_MAX];

static unsigned threads;
static uint64_t calls_each, limit;
static CUcontext context;
static CUmemoryPool pools[2];
static pthread_barrier_t barrier;
/* A program waits for no stream while it captures one. */
static pthread_rwlock_t captures = PTHREAD_RWLOCK_INITIALIZER;
static atomic_uint bad;
static atomic_bool ended;
static bool shared;

#define CHECK(good, ...)                                                                           \
    do {                                                                                           \
        if (!(good) && atomic_fetch_add(&bad, 1) < 20) {                                           \
            printf("line %d: ", __LINE__);                                                         \
            printf(__VA_ARGS__);                                                                   \
            printf("\n");                                                                          \
        }                                                                                          \
    } while (0)

static uint64_t random_of(struct worker *worker, uint64_t below)
{
    worker->random = worker->random * 6364136223846793005u + 1442695040888963407u;
    return (worker->random >> 33) % below;
}

static uint64_t read_file(const char *name)
{
    char path[4096], text[64] = "";
    snprintf(path, sizeof(path), "%s/%s", getenv("CHRONOS_PARTITION"), name);
    FILE *file = fopen(path, "re");
    if (file) {
        if (!fgets(text, sizeof(text), file))
            text[0] = '\0';
        fclose(file);
    }
    return strtoull(text, NULL, 10);
}

static uint64_t charged(void)
{
    return read_file("charge") - read_file("../context");
}

static uint64_t given(void)
{
    return fake_cuda_taken(0) - CONTEXT;
}

/* -- making ------------------------------------------------------------------------------ */

/* The most that `bytes` more of this kind can take, and what the shim keeps ahead. With one thread
 * a refusal of less is wrong. */
static void check_refusal(const struct worker *worker, uint64_t bytes, bool pooled)
{
    uint64_t needs = fake_up(bytes, BLOCK) + BLOCK + (pooled ? STEP : 0);
    CHECK(threads > 1 || given() + needs > limit, "%llu bytes were refused at %llu of %llu",
          (unsigned long long)bytes, (unsigned long long)given(), (unsigned long long)limit);
    (void)worker;
}

static void keep(struct worker *worker, CUresult r, struct object object, bool pooled)
{
    if (r == CUDA_SUCCESS) {
        worker->object[worker->count++] = object;
        worker->made++;
        return;
    }
    worker->refused++;
    CHECK(r == CUDA_ERROR_OUT_OF_MEMORY, "kind %d: error %d", object.kind, r);
    check_refusal(worker, object.bytes, pooled);
}

static void make_handle(struct worker *worker, uint64_t bytes)
{
    struct object object = {HANDLE, 0, fake_up(bytes, BLOCK)};
    CUmemGenericAllocationHandle handle = 0;
    CUmemAllocationProp properties = {.type = 1, .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
    CUresult r = cuMemCreate(&handle, object.bytes, &properties, 0);
    object.key = handle;
    if (r == CUDA_SUCCESS && random_of(worker, 4) > 0) {
        object = (struct object){MAPPED, worker->next_address, object.bytes};
        worker->next_address += object.bytes;
        CHECK(cuMemMap(object.key, object.bytes, 0, handle, 0) == 0, "a mapping failed");
        CHECK(cuMemRelease(handle) == 0, "a release failed");
    }
    keep(worker, r, object, false);
}

static void make_array(struct worker *worker, uint64_t bytes)
{
    CUDA_ARRAY3D_DESCRIPTOR d = {
        .Width = 1024, .Height = bytes / 4096 + 1, .Format = 0x20, .NumChannels = 1};
    struct object object = {ARRAY, 0, 4096 * d.Height};
    if (random_of(worker, 2)) {
        CUarray array = NULL;
        CUresult r = cuArray3DCreate_v2(&array, &d);
        object.key = (uint64_t)(uintptr_t)array;
        keep(worker, r, object, false);
        return;
    }
    CUmipmappedArray mipmap = NULL;
    CUresult r = cuMipmappedArrayCreate(&mipmap, &d, 3);
    keep(worker, r, (struct object){MIPMAP, (uint64_t)(uintptr_t)mipmap, 2 * object.bytes}, false);
}

static void make_pooled(struct worker *worker, uint64_t bytes)
{
    struct object object = {POOLED, 0, bytes};
    CUdeviceptr pointer = 0;
    CUresult r =
        random_of(worker, 2)
            ? cuMemAllocAsync(&pointer, bytes, worker->stream)
            : cuMemAllocFromPoolAsync(&pointer, bytes, pools[random_of(worker, 2)], worker->stream);
    object.key = pointer;
    keep(worker, r, object, true);
}

/* A graph that allocates and frees: its memory stays until something trims. */
static void run_graph(struct worker *worker, uint64_t bytes)
{
    CUgraph graph = NULL;
    CUgraphExec exec = NULL;
    CUdeviceptr pointer = 0;
    pthread_rwlock_wrlock(&captures);
    CHECK(cuStreamBeginCapture_v2(worker->stream, 0) == 0, "no capture");
    CHECK(cuMemAllocAsync(&pointer, bytes, worker->stream) == 0, "no node");
    CHECK(cuMemFreeAsync(pointer, worker->stream) == 0, "no node");
    CUresult r = cuStreamEndCapture(worker->stream, &graph);
    pthread_rwlock_unlock(&captures);
    CHECK(r == CUDA_SUCCESS, "the capture was broken: %d", r);
    if (r != CUDA_SUCCESS || cuGraphInstantiateWithFlags(&exec, graph, 0) != CUDA_SUCCESS)
        return;
    r = cuGraphLaunch(exec, worker->stream);
    CHECK(r == CUDA_SUCCESS || r == CUDA_ERROR_OUT_OF_MEMORY, "launch: %d", r);
    CHECK(cuGraphExecDestroy(exec) == CUDA_SUCCESS, "not destroyed");
}

static void make(struct worker *worker)
{
    CUdeviceptr pointer = 0;
    size_t pitch;
    uint64_t bytes = 1 + random_of(worker, random_of(worker, 3) ? MIB : 24 * MIB);
    CUDA_EXTERNAL_MEMORY_HANDLE_DESC foreign = {.type = 1, .size = bytes};
    CUexternalMemory memory = NULL;
    CUresult r;
    switch (random_of(worker, 16)) {
    case 0:
        make_handle(worker, bytes);
        return;
    case 1:
        make_array(worker, bytes);
        return;
    case 2:
    case 3:
    case 4:
    case 5:
        make_pooled(worker, bytes);
        return;
    case 6:
        r = cuMemAllocManaged(&pointer, bytes, 1);
        break;
    case 7:
        r = cuMemAllocPitch_v2(&pointer, &pitch, bytes / 100 + 1, 100, 4);
        bytes += 100 * 512;
        break;
    case 8:
        r = cuImportExternalMemory(&memory, &foreign);
        keep(worker, r, (struct object){FOREIGN, (uint64_t)(uintptr_t)memory, bytes}, false);
        return;
    default:
        r = cuMemAlloc_v2(&pointer, bytes);
        break;
    }
    keep(worker, r, (struct object){POINTER, pointer, bytes}, false);
}

/* -- ending ------------------------------------------------------------------------------- */

static CUresult end_object(struct worker *worker, struct object object)
{
    void *object_of = (void *)(uintptr_t)object.key;
    switch (object.kind) {
    case POINTER:
    case POOLED:
        return random_of(worker, 3) ? cuMemFreeAsync(object.key, worker->stream)
                                    : cuMemFree_v2(object.key);
    case ARRAY:
        return cuArrayDestroy(object_of);
    case MIPMAP:
        return cuMipmappedArrayDestroy(object_of);
    case FOREIGN:
        return cuDestroyExternalMemory(object_of);
    case HANDLE:
        return cuMemRelease(object.key);
    default:
        return cuMemUnmap(object.key, object.bytes);
    }
}

static void end_one(struct worker *worker)
{
    size_t at = random_of(worker, worker->count);
    struct object object = worker->object[at];
    worker->object[at] = worker->object[--worker->count];
    CUresult r = end_object(worker, object);
    CHECK(r == CUDA_SUCCESS, "kind %d was not freed: %d", object.kind, r);
}

static void wait_for_stream(struct worker *worker)
{
    pthread_rwlock_rdlock(&captures);
    CHECK(cuStreamSynchronize(worker->stream) == CUDA_SUCCESS, "a wait failed");
    pthread_rwlock_unlock(&captures);
}

static void look(void)
{
    size_t left, total;
    CHECK(cuMemGetInfo_v2(&left, &total) == CUDA_SUCCESS && left <= total, "wrong figures");
    CHECK(cuMemFree_v2(12345) == CUDA_ERROR_INVALID_VALUE, "an unknown pointer was freed");
}

static void call(struct worker *worker)
{
    uint64_t what = random_of(worker, 1000);
    if (what < 10)
        wait_for_stream(worker);
    else if (what < 12)
        look();
    else if (what < 15)
        run_graph(worker, 1 + random_of(worker, 20 * MIB));
    else if (worker->count == OBJECTS || (worker->count > 0 && what < 500))
        end_one(worker);
    else
        make(worker);
}

/* -- the model ---------------------------------------------------------------------------- */

/* Nothing moves now. Pools can hold more than the program has, and the shim one block ahead. */
static void compare(const char *when)
{
    CHECK(cuCtxSynchronize() == CUDA_SUCCESS, "a wait failed");
    uint64_t has = given(), books = charged();
    /* What a graph takes beyond its nodes may not fit any more: then all that fits is charged, and
     * the daemon charges the rest. */
    bool right = has >= limit ? books == limit : books == has || books == has + BLOCK;
    CHECK(shared || right, "%s: %llu are charged for %llu", when, (unsigned long long)books,
          (unsigned long long)has);
    CHECK(books <= limit, "%s: %llu are charged", when, (unsigned long long)books);
    /* A small one in a new block is freed again, and so is what a pool reserves beyond what it
     * must, while frees of other streams wait: each thread can be there once. */
    CHECK(fake_cuda_high(0) - CONTEXT <= limit + threads * (24 * MIB + STEP), "%s: %llu were given",
          when, (unsigned long long)(fake_cuda_high(0) - CONTEXT));
}

static void *work(void *data)
{
    struct worker *worker = data;
    cuCtxSetCurrent(context);
    cuStreamCreate(&worker->stream, 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (uint64_t i = 0; i < calls_each / ROUNDS; i++)
            call(worker);
        pthread_barrier_wait(&barrier);
        if (worker->number == 0)
            compare("between");
        pthread_barrier_wait(&barrier);
    }
    while (worker->count > 0)
        end_one(worker);
    return NULL;
}

/* A child that hangs says where. */
static void say_where(int signo)
{
    void *at[64];
    (void)signo;
    backtrace_symbols_fd(at, backtrace(at, sizeof(at) / sizeof(at[0])), STDOUT_FILENO);
    _exit(4);
}

/* A child finds no driver, and must not hang or give anything back. */
static void child(void)
{
    CUdeviceptr pointer;
    signal(SIGALRM, say_where);
    alarm(180); /* far more than on a loaded machine */
    for (int i = 0; i < 10; i++) {
        if (cuMemAlloc_v2(&pointer, 1 << 20) == CUDA_SUCCESS || cuMemFree_v2(4096) == CUDA_SUCCESS)
            _exit(3);
    }
    exit(0); /* with what others registered for the end */
}

static void *fork_often(void *data)
{
    unsigned *forks = data;
    while (!atomic_load(&ended)) {
        int status;
        pid_t pid = fork();
        if (pid == 0)
            child();
        CHECK(waitpid(pid, &status, 0) == pid && status == 0, "a child: status %x", status);
        ++*forks;
        usleep(2000);
    }
    return NULL;
}

static void finish(unsigned forks)
{
    uint64_t refused = 0, made = 0;
    for (unsigned i = 0; i < threads; i++) {
        refused += workers[i].refused;
        made += workers[i].made;
    }
    cuCtxSynchronize();
    cuDeviceGraphMemTrim(0);
    for (int i = 0; i < 2; i++)
        cuMemPoolDestroy(pools[i]);
    cuCtxSynchronize();
    CHECK(given() == 0, "%llu are not freed", (unsigned long long)given());
    CHECK(shared || charged() == 0, "%llu are still charged", (unsigned long long)charged());
    printf("%llu made, %llu refused, at most %llu MiB, %u forks\n", (unsigned long long)made,
           (unsigned long long)refused, (unsigned long long)((fake_cuda_high(0) - CONTEXT) / MIB),
           forks);
}

int main(int count, char **words)
{
    pthread_t forker;
    unsigned forks = 0;
    void *first[1];
    setvbuf(stdout, NULL, _IOLBF, 0);
    backtrace(first, 1); /* it loads a library */
    if (count < 5)
        return 2;
    shared = count > 5 && !strcmp(words[5], "shared");
    bool with_forks = count > 5 && !shared;
    threads = (unsigned)strtoul(words[1], NULL, 10);
    calls_each = strtoull(words[2], NULL, 10) / threads;
    limit = strtoull(words[4], NULL, 10) * MIB;
    if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context))
        return 2;
    for (int i = 0; i < 2; i++)
        cuMemPoolCreate(&pools[i], &(CUmemPoolProps){.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}});
    pthread_barrier_init(&barrier, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){.number = i,
                                     .random = strtoull(words[3], NULL, 10) * 1000 + i,
                                     .next_address = 0x500000000000 + (i * 1ull << 40)};
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    if (with_forks)
        pthread_create(&forker, NULL, fork_often, &forks);
    for (unsigned i = 0; i < threads; i++)
        pthread_join(workers[i].thread, NULL);
    atomic_store(&ended, true);
    if (with_forks)
        pthread_join(forker, NULL);
    finish(forks);
    return bad ? 1 : 0;
}
