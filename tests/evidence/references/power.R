# A trial of slopes: power of the two-sample t test of patients' own slopes, and the size it asks for. Rscript power.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))

months <- c(0, 2, 4, 6)
sd <- sqrt(0.5^2 + 1.0^2 / sum((months - mean(months))^2))
at <- function(n, delta) power.t.test(n = n, delta = delta, sd = sd, sig.level = 0.025, type = "two.sample", alternative = "one.sided")$power
value <- function(x) list(value = x)
quantities <- list("power[20]" = value(at(20, 0.4)), "power[40]" = value(at(40, 0.4)), "power[80]" = value(at(80, 0.4)),
                   "error[40]" = value(at(40, 0)))
write_reference("power", "share", paste("R", getRversion(), "power.t.test"), quantities, "stats",
                notes = "arms of n patients, visits at months 0, 2, 4, 6, slope SD 0.5, residual SD 1, difference 0.4 or 0, one-sided 0.025")
