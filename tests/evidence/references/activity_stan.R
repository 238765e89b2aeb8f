# sle_activity with its default priors. Rscript activity_stan.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))

d <- by_subject(table_of("activity"))
data <- list(n = d$n, n_rows = d$rows, subject = d$subject, later = d$later, joints = as.matrix(d$table[, c("tender_joints", "swollen_joints")]),
             crp = d$table$crp_mg_dl, censored = as.integer(d$table$crp_mg_dl_censored == "True"), treated = as.numeric(d$arm == "treated"))
found <- sampled("activity", list(data), c("time_course", "effect", "sd_visit", "count_level", "count_loading", "sd_count", "overdispersion",
                                           "marker_level", "marker_loading", "sd_marker", "sd_residual"), adapt_delta = 0.95)
write_reference("activity_stan", "same priors", by_stan(), found[[1]], c("rstan", "posterior"))
