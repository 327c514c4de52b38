-- SPDX-License-Identifier: Apache-2.0
--
-- Lets Slurm's scheduler count what srun, sbatch and salloc --chronos ask for, as the resource
-- "chronos" of each node: 100 for a GPU. Use it as job_submit.lua, or from one:
--
--     dofile("/usr/share/chronosfs/slurm/job_submit_chronos.lua")
--     local chronos_submit = slurm_job_submit
--     function slurm_job_submit(job, partitions, user)
--         ... and return chronos_submit(job, partitions, user)
--     end
--
-- slurm.conf: JobSubmitPlugins=lua, GresTypes=chronos and, for nodes with four GPUs,
-- Gres=chronos:400.

-- The memory of one GPU, such as "80G", for jobs that ask for a size. Sizes are refused without it.
-- With different GPUs that of the smallest.
local gpu_memory = chronos_gpu_memory

local units = { B = 1, K = 2 ^ 10, M = 2 ^ 20, G = 2 ^ 30, T = 2 ^ 40 }

-- The bytes of "20G" or "1.5GiB", or nil.
local function size_of(text)
    local number, unit, rest = text:match("^(%d*%.?%d*)([BKMGT])(.*)$")
    if not number or not tonumber(number) or not (rest == "" or rest == "iB" and unit ~= "B") then
        return nil
    end
    return tonumber(number) * units[unit]
end

-- What part of a GPU a text asks for: from 0 to 1; or nil and a sentence.
local function share_of(text)
    local number, percent = text:match("^(%d*%.?%d*)(%%?)$")
    number = number and tonumber(number)
    if number and percent == "%" then
        number = number / 100
    elseif not number then
        local size = size_of(text)
        if size and not gpu_memory then
            return nil, "Sizes are not counted here; write a share like 0.5 or 50%."
        end
        number = size and size / size_of(gpu_memory)
    end
    if not number then
        return nil, "It is not an amount; write a share like 0.5 or 50%, or a size like 20G."
    elseif number <= 0 or number > 1 then
        return nil, "It is not a part of one GPU; write more than 0 and at most 1, and " ..
            "--chronos-gpus=2 for that part of two."
    end
    return number
end

-- The value of an option of the plugin, or nil. False: there are two, as no program of Slurm sends
-- it; the node could take the other one.
local function option_of(job, name)
    local prefix = "_SLURM_SPANK_OPTION_chronos_" .. name .. "="
    local found = nil
    for i = 0, (job.spank_job_env_size or 0) - 1 do
        local entry = job.spank_job_env[i]
        if entry and entry:sub(1, #prefix) == prefix then
            if found then
                return false
            end
            found = entry:sub(#prefix + 1)
        end
    end
    return found
end

local kinds = { "tres_per_node", "tres_per_job", "tres_per_socket", "tres_per_task" }

-- Whether the job itself asks for the resource, in whatever way.
local function names_resource(job)
    for _, kind in ipairs(kinds) do
        if type(job[kind]) == "string" and (job[kind] .. ","):find("chronos[:,=]") then
            return true
        end
    end
    return false
end

local function refuse(sentence)
    slurm.log_user("chronos: %s", sentence)
    return slurm.ERROR
end

-- Add the resource to a job. The rounding is up, so that jobs that the scheduler puts together fit.
local function count(job)
    local amount, gpus = option_of(job, "chronos"), option_of(job, "chronos_gpus")
    if amount == false or gpus == false then
        return refuse("Each option can be given once.")
    elseif names_resource(job) then
        return refuse("The resource chronos is counted by Slurm; ask with --chronos=0.5.")
    elseif not amount then
        return gpus and refuse("--chronos-gpus needs --chronos=0.5.") or slurm.SUCCESS
    end
    local share, why = share_of(amount)
    local number = gpus == nil and 1 or gpus:match("^%d%d?$") and tonumber(gpus)
    if not share then
        return refuse("--chronos: " .. why)
    elseif not number or number < 1 then
        return refuse("--chronos-gpus: It is not a number of GPUs; write 1 to 64.")
    end
    local units_each = math.max(1, math.ceil(share * 100 - 1e-9))
    local wanted = string.format("gres:chronos:%d", units_each * number)
    local present = job.tres_per_node
    if type(present) == "string" and present ~= "" then
        wanted = present .. "," .. wanted
    end
    job.tres_per_node = wanted
    return slurm.SUCCESS
end

function slurm_job_submit(job, partitions, user)
    return count(job)
end

-- scontrol update: what is counted is changed by root alone.
function slurm_job_modify(job, record, partitions, user)
    local was = record and record.tres_per_node
    if user ~= 0 and (names_resource(job) or
        type(was) == "string" and was:find("chronos") and type(job.tres_per_node) == "string") then
        return refuse("The resource chronos of a job cannot be changed; submit it again.")
    end
    return slurm.SUCCESS
end

return slurm.SUCCESS
