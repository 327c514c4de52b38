/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_driver.h. */
#include "fake_driver.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CALLBACKS_MAX 4
#define COMMANDS_MAX  16
#define CONTEXTS_MAX  128

struct fake fake;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct _cl_platform_id {
    unsigned number;
};

struct _cl_device_id {
    unsigned platform, type, uuid;
    cl_device_id parent;
};

struct _cl_context {
    cl_uint count;
    cl_device_id device[FAKE_DEVICES];
};

struct _cl_command_queue {
    cl_context context;
};

struct _cl_mem {
    cl_mem next; /* in `objects`, where the memory checkers find those that are left */
    unsigned references, callbacks;
    uint64_t bytes;
    cl_mem parent;
    struct {
        void(CL_CALLBACK *call)(cl_mem, void *);
        void *data;
    } callback[CALLBACKS_MAX];
};

static struct _cl_platform_id platforms[FAKE_PLATFORMS] = {{0}, {1}, {2}};
static struct _cl_device_id devices[FAKE_DEVICES] = {
    {0, CL_DEVICE_TYPE_GPU, 1, NULL},
    {0, CL_DEVICE_TYPE_GPU, 2, NULL},
    {1, CL_DEVICE_TYPE_GPU, 1, NULL},
    {1, CL_DEVICE_TYPE_CPU, 3, NULL},
};
static struct _cl_context contexts[CONTEXTS_MAX];
static unsigned context_count;
static cl_mem objects;
static struct _cl_device_id parts[FAKE_DEVICES], halves[FAKE_DEVICES];

/* -- platforms, devices, contexts ------------------------------------------------- */

cl_platform_id fake_platform(unsigned i)
{
    return &platforms[i];
}

cl_device_id fake_device(unsigned i)
{
    return &devices[i];
}

cl_device_id fake_part(unsigned device)
{
    halves[device] = devices[device];
    halves[device].parent = &devices[device];
    parts[device] = devices[device];
    parts[device].parent = &halves[device];
    return &parts[device];
}

static cl_int answer(const void *value, size_t length, size_t size, void *ret, size_t *ret_length)
{
    if (ret && size < length)
        return CL_INVALID_VALUE;
    if (ret)
        memcpy(ret, value, length);
    if (ret_length)
        *ret_length = length;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL get_platforms(cl_uint room, cl_platform_id *ids, cl_uint *count)
{
    if (fake.during_search)
        fake.during_search();
    for (cl_uint i = 0; ids && i < room && i < FAKE_PLATFORMS; i++)
        ids[i] = &platforms[i];
    if (count)
        *count = FAKE_PLATFORMS;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL get_platform_info(cl_platform_id platform, cl_platform_info what,
                                            size_t size, void *ret, size_t *ret_length)
{
    (void)platform;
    (void)what;
    return answer("Fake", 5, size, ret, ret_length);
}

static cl_int CL_API_CALL get_devices(cl_platform_id platform, cl_device_type type, cl_uint room,
                                      cl_device_id *ids, cl_uint *count)
{
    cl_uint found = 0;
    if (!platform || platform->number >= FAKE_PLATFORMS)
        return CL_INVALID_PLATFORM;
    if (type == 0)
        return CL_INVALID_DEVICE_TYPE;
    for (unsigned i = 0; i < FAKE_DEVICES; i++) {
        /* The last one of a platform is its default. */
        if (devices[i].platform != platform->number || (devices[i].type & type) == 0 ||
            (type == CL_DEVICE_TYPE_DEFAULT && i % 2 == 0))
            continue;
        if (ids && found < room)
            ids[found] = &devices[i];
        found++;
    }
    if (count)
        *count = found;
    return found > 0 ? CL_SUCCESS : CL_DEVICE_NOT_FOUND;
}

static cl_int CL_API_CALL get_device_info(cl_device_id device, cl_device_info what, size_t size,
                                          void *ret, size_t *ret_length)
{
    unsigned char uuid[CL_UUID_SIZE_KHR];
    cl_ulong memory = what == CL_DEVICE_GLOBAL_MEM_SIZE ? FAKE_MEMORY : FAKE_MEMORY / 4;
    cl_device_type type = device->type;
    cl_platform_id platform = &platforms[device->platform];
    size_t free_kib[2] = {FAKE_MEMORY / 1024, FAKE_MEMORY / 4096};

    memset(uuid, (int)device->uuid, sizeof(uuid));
    switch (what) {
    case CL_DEVICE_GLOBAL_MEM_SIZE:
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE:
        return answer(&memory, sizeof(memory), size, ret, ret_length);
    case CL_DEVICE_GLOBAL_FREE_MEMORY_AMD:
        return answer(free_kib, sizeof(free_kib), size, ret, ret_length);
    case CL_DEVICE_TYPE:
        return answer(&type, sizeof(type), size, ret, ret_length);
    case CL_DEVICE_PLATFORM:
        return answer(&platform, sizeof(platform), size, ret, ret_length);
    case CL_DEVICE_PARENT_DEVICE:
        if (fake.no_parents)
            return CL_INVALID_VALUE;
        return answer(&device->parent, sizeof(device->parent), size, ret, ret_length);
    case CL_DEVICE_EXTENSIONS:
        return answer("cl_khr_device_uuid", 19, size, ret, ret_length);
    case CL_DEVICE_UUID_KHR:
        return answer(uuid, sizeof(uuid), size, ret, ret_length);
    case CL_DEVICE_NAME:
        return answer("Fake GPU", 9, size, ret, ret_length);
    default:
        return CL_INVALID_VALUE;
    }
}

static cl_context CL_API_CALL create_context(const cl_context_properties *properties, cl_uint count,
                                             const cl_device_id *ids,
                                             void(CL_CALLBACK *notify)(const char *, const void *,
                                                                       size_t, void *),
                                             void *data, cl_int *ret_error)
{
    (void)properties;
    (void)notify;
    if (!ids || count == 0 || count > FAKE_DEVICES || context_count == CONTEXTS_MAX)
        return layer_refuse(CL_INVALID_VALUE, ret_error);
    cl_context context = &contexts[context_count++];
    context->count = count;
    memcpy(context->device, ids, count * sizeof(*ids));
    fake.last_data = data;
    if (ret_error)
        *ret_error = CL_SUCCESS;
    return context;
}

static cl_context CL_API_CALL
create_context_from_type(const cl_context_properties *properties, cl_device_type type,
                         void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *),
                         void *data, cl_int *ret_error)
{
    cl_device_id ids[FAKE_DEVICES];
    cl_uint count = 0;
    cl_int error = fake.wants_platform && !properties
                       ? CL_INVALID_PLATFORM
                       : get_devices(&platforms[0], type, FAKE_DEVICES, ids, &count);
    if (error != CL_SUCCESS)
        return layer_refuse(error, ret_error);
    return create_context(properties, count, ids, notify, data, ret_error);
}

static cl_int CL_API_CALL release_context(cl_context context)
{
    context->count = 0;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL get_context_info(cl_context context, cl_context_info what, size_t size,
                                           void *ret, size_t *ret_length)
{
    if (!context || what != CL_CONTEXT_DEVICES)
        return CL_INVALID_VALUE;
    return answer(context->device, context->count * sizeof(cl_device_id), size, ret, ret_length);
}

/* -- memory objects ----------------------------------------------------------------- */

static cl_mem create(uint64_t bytes, cl_mem parent, cl_int *ret_error)
{
    pthread_mutex_lock(&lock);
    cl_int error = fake.refuse;
    fake.refuse = CL_SUCCESS;
    fake.allocations++;
    cl_mem object = NULL;
    if (error == CL_SUCCESS) {
        object = calloc(1, sizeof(*object));
        *object =
            (struct _cl_mem){.references = 1, .bytes = bytes, .parent = parent, .next = objects};
        objects = object;
        if (parent)
            parent->references++;
        fake.live++;
        fake.live_bytes += !parent ? bytes : 0;
    }
    pthread_mutex_unlock(&lock);
    if (ret_error)
        *ret_error = error;
    return object;
}

static cl_mem create_sized(uint64_t otherwise, cl_int *ret_error)
{
    uint64_t bytes = fake.takes > 0 ? fake.takes : otherwise;
    fake.takes = 0;
    return create(bytes, NULL, ret_error);
}

static cl_int CL_API_CALL retain(cl_mem object)
{
    pthread_mutex_lock(&lock);
    object->references++;
    pthread_mutex_unlock(&lock);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL release(cl_mem object);

static void end_object(cl_mem object)
{
    while (object->callbacks-- > 0)
        object->callback[object->callbacks].call(object, object->callback[object->callbacks].data);
    if (object->parent)
        release(object->parent);
    free(object);
}

/* Released objects whose end is late. */
static cl_mem late;

static void *end_late(void *unused)
{
    (void)unused;
    while (late) {
        cl_mem object = late;
        late = object->next;
        end_object(object);
    }
    return NULL;
}

int __wrap_nanosleep(const struct timespec *duration, struct timespec *ret_left);

/* No time passes; every third sleep is long enough for the driver's thread. */
int __wrap_nanosleep(const struct timespec *duration, struct timespec *ret_left)
{
    pthread_t thread;
    (void)duration, (void)ret_left;
    if (++fake.sleeps % 3 == 0 && late && pthread_create(&thread, NULL, end_late, NULL) == 0)
        pthread_join(thread, NULL);
    return 0;
}

static cl_int CL_API_CALL release(cl_mem object)
{
    pthread_mutex_lock(&lock);
    bool last = --object->references == 0;
    if (last) {
        cl_mem *at = &objects;
        while (*at != object)
            at = &(*at)->next;
        *at = object->next;
        fake.live--;
        fake.live_bytes -= !object->parent ? object->bytes : 0;
    }
    pthread_mutex_unlock(&lock);
    if (!last)
        return CL_SUCCESS;
    if (!fake.late) {
        end_object(object);
        return CL_SUCCESS;
    }
    object->next = late;
    late = object;
    return CL_SUCCESS;
}

void fake_hold(cl_mem object)
{
    retain(object);
}

void fake_let_go(cl_mem object)
{
    release(object);
}

static cl_int CL_API_CALL set_callback(cl_mem object, void(CL_CALLBACK *call)(cl_mem, void *),
                                       void *data)
{
    if (fake.no_callbacks || object->callbacks == CALLBACKS_MAX)
        return CL_INVALID_OPERATION;
    object->callback[object->callbacks].call = call;
    object->callback[object->callbacks++].data = data;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL get_mem_info(cl_mem object, cl_mem_info what, size_t size, void *ret,
                                       size_t *ret_length)
{
    size_t bytes = object->bytes;
    return what == CL_MEM_SIZE ? answer(&bytes, sizeof(bytes), size, ret, ret_length)
                               : CL_INVALID_VALUE;
}

static cl_mem CL_API_CALL create_buffer(cl_context context, cl_mem_flags flags, size_t size,
                                        void *host, cl_int *ret_error)
{
    (void)context;
    fake.last_flags = flags;
    fake.last_data = host;
    return create(size, NULL, ret_error);
}

static cl_mem CL_API_CALL create_buffer_with(cl_context context,
                                             const cl_mem_properties *properties,
                                             cl_mem_flags flags, size_t size, void *host,
                                             cl_int *ret_error)
{
    fake.properties += properties ? 1 : 0;
    return create_buffer(context, flags, size, host, ret_error);
}

static cl_mem CL_API_CALL create_buffer_nv(cl_context context, cl_mem_flags flags, cl_bitfield nv,
                                           size_t size, void *host, cl_int *ret_error)
{
    return create_buffer(context, flags | nv << 32, size, host, ret_error);
}

static cl_mem CL_API_CALL create_sub_buffer(cl_mem buffer, cl_mem_flags flags,
                                            cl_buffer_create_type type, const void *info,
                                            cl_int *ret_error)
{
    (void)flags;
    (void)type;
    const cl_buffer_region *region = info;
    return create(region->size, buffer, ret_error);
}

static cl_mem CL_API_CALL create_pipe(cl_context context, cl_mem_flags flags, cl_uint packet,
                                      cl_uint packets, const cl_pipe_properties *properties,
                                      cl_int *ret_error)
{
    (void)context;
    (void)flags;
    (void)properties;
    return create_sized((uint64_t)packet * packets, ret_error);
}

static cl_mem CL_API_CALL create_image(cl_context context, cl_mem_flags flags,
                                       const cl_image_format *format, const cl_image_desc *desc,
                                       void *host, cl_int *ret_error)
{
    (void)context;
    fake.last_flags = flags;
    fake.last_data = host;
    if (!format || !desc)
        return create(0, NULL, ret_error);
    if (desc->mem_object)
        return create(1, desc->mem_object, ret_error);
    return create_sized(desc->image_width * (desc->image_height > 0 ? desc->image_height : 1) *
                            (desc->image_depth > 0 ? desc->image_depth : 1) * 4,
                        ret_error);
}

static cl_mem CL_API_CALL create_image_with(cl_context context, const cl_mem_properties *properties,
                                            cl_mem_flags flags, const cl_image_format *format,
                                            const cl_image_desc *desc, void *host,
                                            cl_int *ret_error)
{
    fake.properties += properties ? 1 : 0;
    return create_image(context, flags, format, desc, host, ret_error);
}

static cl_mem CL_API_CALL create_image_2d(cl_context context, cl_mem_flags flags,
                                          const cl_image_format *format, size_t width,
                                          size_t height, size_t row_pitch, void *host,
                                          cl_int *ret_error)
{
    (void)row_pitch;
    const cl_image_desc desc = {.image_width = width, .image_height = height};
    return create_image(context, flags, format, &desc, host, ret_error);
}

static cl_mem CL_API_CALL create_image_3d(cl_context context, cl_mem_flags flags,
                                          const cl_image_format *format, size_t width,
                                          size_t height, size_t depth, size_t row_pitch,
                                          size_t slice_pitch, void *host, cl_int *ret_error)
{
    (void)row_pitch;
    (void)slice_pitch;
    const cl_image_desc desc = {.image_width = width, .image_height = height, .image_depth = depth};
    return create_image(context, flags, format, &desc, host, ret_error);
}

static cl_mem CL_API_CALL import_number(cl_context context, cl_mem_flags flags, cl_GLuint number,
                                        cl_int *ret_error)
{
    (void)context;
    fake.last_flags = flags;
    return create_sized(number, ret_error);
}

static cl_mem CL_API_CALL import_texture(cl_context context, cl_mem_flags flags, cl_GLenum target,
                                         cl_GLint level, cl_GLuint texture, cl_int *ret_error)
{
    (void)target;
    (void)level;
    return import_number(context, flags, texture, ret_error);
}

static cl_mem CL_API_CALL import_egl(cl_context context, CLeglDisplayKHR display,
                                     CLeglImageKHR image, cl_mem_flags flags,
                                     const cl_egl_image_properties_khr *properties,
                                     cl_int *ret_error)
{
    (void)display;
    (void)properties;
    return import_number(context, flags, (cl_GLuint)(uintptr_t)image, ret_error);
}

/* -- memory by address ---------------------------------------------------------------- */

static void *allocate(size_t size, cl_int *ret_error)
{
    cl_int error;
    cl_mem object = create(size, NULL, &error);
    if (ret_error)
        *ret_error = error;
    return object; /* as good an address as any */
}

static void *CL_API_CALL svm_alloc(cl_context context, cl_svm_mem_flags flags, size_t size,
                                   cl_uint alignment)
{
    (void)context;
    (void)alignment;
    fake.last_flags = flags;
    void *memory = fake.give;
    fake.give = NULL;
    return memory ? memory : allocate(size, NULL);
}

static void CL_API_CALL svm_free(cl_context context, void *memory)
{
    (void)context;
    if (memory)
        release(memory);
    if (fake.during_free)
        fake.during_free(memory);
}

static void *CL_API_CALL usm_alloc(cl_context context, cl_device_id device,
                                   const cl_mem_properties_intel *properties, size_t size,
                                   cl_uint alignment, cl_int *ret_error)
{
    (void)context;
    (void)device;
    (void)properties;
    (void)alignment;
    return allocate(size, ret_error);
}

static void *CL_API_CALL usm_alloc_host(cl_context context,
                                        const cl_mem_properties_intel *properties, size_t size,
                                        cl_uint alignment, cl_int *ret_error)
{
    return usm_alloc(context, NULL, properties, size, alignment, ret_error);
}

static cl_int CL_API_CALL usm_free(cl_context context, void *memory)
{
    if (fake.free_fails)
        return CL_INVALID_VALUE;
    svm_free(context, memory);
    return CL_SUCCESS;
}

typedef void(CL_CALLBACK *free_function)(cl_command_queue, cl_uint, void *[], void *);

static struct command {
    cl_command_queue queue;
    void *memory;
    free_function function;
    void *data;
} commands[COMMANDS_MAX];
static unsigned command_count;

void fake_run(void)
{
    for (unsigned i = 0; i < command_count; i++) {
        struct command *command = &commands[i];
        if (command->function)
            command->function(command->queue, 1, &command->memory, command->data);
        else
            svm_free(command->queue->context, command->memory);
    }
    command_count = 0;
}

static cl_int CL_API_CALL enqueue_svm_free(cl_command_queue queue, cl_uint count, void *memory[],
                                           free_function function, void *data, cl_uint waits,
                                           const cl_event *wait_for, cl_event *event)
{
    (void)waits;
    (void)wait_for;
    (void)event;
    if (fake.refuse != CL_SUCCESS || !queue)
        return CL_INVALID_COMMAND_QUEUE;
    for (cl_uint i = 0; i < count; i++)
        commands[command_count++] = (struct command){queue, memory[i], function, data};
    if (!fake.hold_commands)
        fake_run();
    return CL_SUCCESS;
}

cl_command_queue fake_queue(cl_context context)
{
    static struct _cl_command_queue queue;
    queue.context = context;
    return &queue;
}

static cl_int CL_API_CALL get_queue_info(cl_command_queue queue, cl_command_queue_info what,
                                         size_t size, void *ret, size_t *ret_length)
{
    if (!queue || what != CL_QUEUE_CONTEXT)
        return CL_INVALID_COMMAND_QUEUE;
    return answer(&queue->context, sizeof(queue->context), size, ret, ret_length);
}

/* -- the table -------------------------------------------------------------------------- */

typedef void (*function)(void);

static void *extension(const char *name)
{
    static const struct {
        const char *name;
        function function;
    } known[] = {
        {"clHostMemAllocINTEL", (function)usm_alloc_host},
        {"clDeviceMemAllocINTEL", (function)usm_alloc},
        {"clSharedMemAllocINTEL", (function)usm_alloc},
        {"clMemFreeINTEL", (function)usm_free},
        {"clMemBlockingFreeINTEL", (function)usm_free},
        {"clCreateBufferWithPropertiesINTEL", (function)create_buffer_with},
        {"clCreateBufferNV", (function)create_buffer_nv},
        {"clCreateBuffer", (function)create_buffer},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        void *address;
        memcpy(&address, &known[i].function, sizeof(address));
        if (strcmp(known[i].name, name) == 0)
            return address;
    }
    return NULL;
}

static void *CL_API_CALL get_extension(const char *name)
{
    return extension(name);
}

static void *CL_API_CALL get_extension_for(cl_platform_id platform, const char *name)
{
    fake.last_platform = platform;
    return platform ? extension(name) : NULL;
}

static const cl_icd_dispatch functions = {
    .clGetPlatformIDs = get_platforms,
    .clGetPlatformInfo = get_platform_info,
    .clGetDeviceIDs = get_devices,
    .clGetDeviceInfo = get_device_info,
    .clCreateContext = create_context,
    .clCreateContextFromType = create_context_from_type,
    .clReleaseContext = release_context,
    .clGetContextInfo = get_context_info,
    .clGetCommandQueueInfo = get_queue_info,
    .clCreateBuffer = create_buffer,
    .clCreateBufferWithProperties = create_buffer_with,
    .clCreateSubBuffer = create_sub_buffer,
    .clCreatePipe = create_pipe,
    .clCreateImage = create_image,
    .clCreateImageWithProperties = create_image_with,
    .clCreateImage2D = create_image_2d,
    .clCreateImage3D = create_image_3d,
    .clCreateFromGLBuffer = import_number,
    .clCreateFromGLRenderbuffer = import_number,
    .clCreateFromGLTexture = import_texture,
    .clCreateFromGLTexture2D = import_texture,
    .clCreateFromGLTexture3D = import_texture,
    .clCreateFromEGLImageKHR = import_egl,
    .clRetainMemObject = retain,
    .clReleaseMemObject = release,
    .clSetMemObjectDestructorCallback = set_callback,
    .clGetMemObjectInfo = get_mem_info,
    .clSVMAlloc = svm_alloc,
    .clSVMFree = svm_free,
    .clEnqueueSVMFree = enqueue_svm_free,
    .clGetExtensionFunctionAddress = get_extension,
    .clGetExtensionFunctionAddressForPlatform = get_extension_for,
};

cl_icd_dispatch *fake_table(size_t entries)
{
    void **table = calloc(entries, sizeof(*table));
    size_t known = entries < FAKE_ENTRIES ? entries : FAKE_ENTRIES;
    memcpy(table, &functions, known * sizeof(*table));
    for (size_t i = known; i < entries; i++)
        table[i] = &platforms[i % FAKE_PLATFORMS]; /* functions that the layer does not know */
    return (cl_icd_dispatch *)table;
}
