# One fit after another of the same trial design with brms or rstanarm, timed; called by engines.py.
#
#   Rscript one_fit.R brms|rstanarm OUT CORES TUNE DRAWS WARM SAVED TRIAL.csv ...
#
# As one_fit.py: every fit writes its draws of the effect (a column a chain) to OUT/<k>.csv and one line to
# OUT/fits.tsv: kind, the clock when the contrast stood, seconds. SAVED is "-" or the file of a compiled brms model,
# made if it is not there; a user who keeps one compiles once, not once a process.

arguments <- commandArgs(trailingOnly = TRUE)
tool <- arguments[1]
out <- arguments[2]
cores <- as.integer(arguments[3])
tune <- as.integer(arguments[4])
draws <- as.integer(arguments[5])
warm <- as.integer(arguments[6])
saved <- arguments[7]
trials <- arguments[-(1:7)]
FEW <- 20L # enough for a fit to end, too few to take time: what is left is the fixed part

suppressPackageStartupMessages(library(tool, character.only = TRUE))
clock <- function() as.numeric(Sys.time())
# Debian's BH holds no headers: they are those of the system, which rstan does not look for by itself.
if (tool == "brms" && !nzchar(system.file("include", package = "BH")) && dir.exists("/usr/include/boost")) {
  invisible(rstan::rstan_options(boost_lib = "/usr/include"))
}

read_trial <- function(path) {
  table <- read.csv(path)
  table$month <- table$week * 7 / (365.25 / 12)
  table$treated <- as.numeric(table$arm == "treated")
  table
}

# The package's own priors, as far as each tool can say them.
fit_brms <- function(table, draws, chains = 4) {
  brm(alsfrsr ~ month + month:treated + (month | subject), data = table,
      prior = c(set_prior("normal(38, 10)", class = "Intercept"),
                set_prior("normal(-1, 1)", class = "b", coef = "month"),
                set_prior("normal(0, 0.5)", class = "b", coef = "month:treated"),
                set_prior("normal(0, 8)", class = "sd", coef = "Intercept", group = "subject"),
                set_prior("normal(0, 1)", class = "sd", coef = "month", group = "subject"),
                set_prior("lkj(1)", class = "cor"),
                set_prior("lognormal(0.6, 0.5)", class = "sigma")),
      chains = chains, iter = tune + draws, warmup = tune, cores = cores, seed = 1, refresh = 0, silent = 2)
}
again_brms <- function(fit, table, draws) {
  update(fit, newdata = table, recompile = FALSE, chains = 4, iter = tune + draws, warmup = tune, cores = cores,
         seed = 1, refresh = 0, silent = 2)
}
fit_rstanarm <- function(table, draws) {
  stan_lmer(alsfrsr ~ month + month:treated + (month | subject), data = table,
            prior = normal(c(-1, 0), c(1, 0.5)), prior_intercept = normal(38, 10), chains = 4, iter = tune + draws,
            warmup = tune, cores = cores, seed = 1, refresh = 0)
}

contrast <- function(fit) {
  if (tool == "brms") return(summary(fit)$fixed["month:treated", ])
  summary(fit, pars = "month:treated", probs = c(0.025, 0.975))
}

draws_of_effect <- function(fit) {
  if (tool == "brms") return(as.array(fit)[, , "b_month:treated"])
  as.array(fit)[, , "month:treated"]
}

record <- function(number, kind, started, fit) {
  stopifnot(all(is.finite(unlist(contrast(fit))[1:2])))
  ended <- clock()
  matrix <- draws_of_effect(fit)
  write.table(matrix, file.path(out, paste0(number, ".csv")), sep = ",", row.names = FALSE, col.names = FALSE)
  cat(sprintf("%s\t%.6f\t%.6f\n", kind, ended, ended - started), file = file.path(out, "fits.tsv"), append = TRUE)
}

if (tool == "brms" && saved != "-" && !file.exists(saved)) {
  saveRDS(fit_brms(read_trial(trials[1]), FEW, chains = 0), saved)
  quit(status = 0)
}

started <- clock()
if (tool == "brms") {
  fit <- if (saved == "-") fit_brms(read_trial(trials[1]), draws) else again_brms(readRDS(saved), read_trial(trials[1]), draws)
} else {
  fit <- fit_rstanarm(read_trial(trials[1]), draws)
}
record(0, "first", started, fit)
for (k in seq_len(warm)) {
  for (kind in c("warm", "fixed")) {
    started <- clock()
    table <- read_trial(trials[1 + (k %% length(trials))])
    size <- if (kind == "warm") draws else FEW
    fit <- if (tool == "brms") again_brms(fit, table, size) else fit_rstanarm(table, size)
    record(if (kind == "warm") 2 * k - 1 else 2 * k, kind, started, fit)
  }
}
