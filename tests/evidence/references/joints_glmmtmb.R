# sle_joints's likelihood, one outcome after the other: beta-binomial with a level of each patient. Rscript joints_glmmtmb.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))
suppressPackageStartupMessages(library(glmmTMB))

table <- table_of("joints")
table$treated <- as.numeric(table$arm == "treated")
for (v in 1:2) {
  table[[paste0("at", v)]] <- as.numeric(table$time == sort(unique(table$time))[v + 1])
  table[[paste0("on", v)]] <- table[[paste0("at", v)]] * table$treated
}
quantities <- list()
for (k in 1:2) {
  table$count <- table[[c("tender_joints", "swollen_joints")[k]]]
  fit <- glmmTMB(cbind(count, 28 - count) ~ at1 + at2 + on1 + on2 + (1 | subject), table, family = betabinomial())
  fixed <- summary(fit)$coefficients$cond
  one <- function(row) list(estimate = fixed[row, "Estimate"], se = fixed[row, "Std. Error"])
  quantities[[sprintf("mean_level[%d]", k)]] <- one("(Intercept)")
  for (v in 1:2) {
    quantities[[sprintf("time_course[%d,%d]", v, k)]] <- one(paste0("at", v))
    quantities[[sprintf("effect[%d,%d]", v, k)]] <- one(paste0("on", v))
  }
  quantities[[sprintf("sd_patient[%d]", k)]] <- list(estimate = attr(VarCorr(fit)$cond$subject, "stddev")[[1]])
  # The share of active joints is Beta with variance p (1 - p) rho, rho = 1 / (phi + 1): its SD goes with sqrt(rho).
  quantities[[sprintf("sd_share[%d]", k)]] <- list(estimate = 1 / sqrt(sigma(fit) + 1))
}
write_reference("joints_glmmtmb", "likelihood", paste("glmmTMB", packageVersion("glmmTMB"), "maximum likelihood, Laplace"), quantities, c("glmmTMB", "TMB"))
